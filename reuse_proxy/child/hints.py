"""Why a command may have made no request through the proxy: likely reasons.

Which programs a command runs is guessed from its first words; only when it is too
late to be in anybody's way.
"""

import mmap
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Final

# What the linker puts into every Go program (Go's debug/buildinfo).
_GO_MARK: Final = b"\xff Go buildinf:"
_MAX_SEARCHED: Final = 256 * 1024 * 1024
_MAX_SHEBANG: Final = 256
_MAX_WORDS: Final = 4


class Family(Enum):
    """Runtimes with ways of their own; the value is what to know of them."""

    GO = (
        "Go programs never ask a proxy for localhost, 127.0.0.1 or ::1; give the"
        " origin by another name or address of this machine."
    )
    RUBY = (
        "Ruby never asks a proxy for localhost, 127.0.0.1 or ::1; give the origin by"
        " another name or address of this machine."
    )
    JAVA = (
        "Java reads no proxy variables; give it -Dhttp.proxyHost, -Dhttp.proxyPort and"
        " -Dhttp.nonProxyHosts= (and the same with https.), as in:"
        " sh -c 'java -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=\"${HTTP_PROXY##*:}\" ...'"
    )
    NODE = (
        "Node reads the proxy variables from 22.21 and 24.5 on; before, a program needs"
        " a proxy agent such as undici's EnvHttpProxyAgent."
    )
    PYTHON = (
        "aiohttp reads the proxy variables only with ClientSession(trust_env=True)."
    )


_NAMES: Final[tuple[tuple[re.Pattern[str], Family], ...]] = (
    (re.compile(r"go"), Family.GO),
    (re.compile(r"ruby[0-9.]*|irb|rake|rails|bundle|rspec|jruby"), Family.RUBY),
    (re.compile(r"java|mvn|mvnw|gradle|gradlew|kotlin|scala|sbt"), Family.JAVA),
    (re.compile(r"node|nodejs|npm|npx|yarn|pnpm|tsx|ts-node|bun|jest"), Family.NODE),
    (re.compile(r"python[0-9.]*|pypy[0-9.]*|pytest|uvicorn|gunicorn"), Family.PYTHON),
)

Which = Callable[[str], str | None]


def no_request(
    command: Sequence[str],
    environ: Mapping[str, str],
    *,
    connections: int,
    https: bool,
    which: Which = shutil.which,
) -> Iterator[str]:
    """Yield sentences: that there was no request, and likely reasons, the best first.

    Args:
        command: what was run.
        environ: its environment.
        connections: how many it has opened to the proxy nevertheless.
        https: whether its HTTPS was to be opened with a CA of ours.
        which: finds programs.
    """
    if connections:
        yield _connected(connections, https=https)
        return
    yield "The command made no request through the proxy. Likely reasons:"
    for name in ("NO_PROXY", "no_proxy"):
        if environ.get(name):
            yield f"{name}={environ[name]}: the hosts that it names are asked directly."
            break
    families = list(families_of(command, which))
    for family in families:
        yield str(family.value)
    if not families:
        yield (
            "Some clients ignore HTTP_PROXY: aiohttp without trust_env=True, Node before"
            " 22.21, Java; Go and Ruby for localhost."
        )
        yield (
            "What a command leaves running in the background has no proxy any more once"
            " the command has ended: have it wait."
        )


def families_of(
    command: Sequence[str], which: Which = shutil.which
) -> Iterator[Family]:
    """Yield the runtimes that the first words of a command stand for, each once."""
    return iter(dict.fromkeys(_families(command[:_MAX_WORDS], which)))


def _families(words: Iterable[str], which: Which) -> Iterator[Family]:
    for word in words:
        path = which(word)
        if path is None:
            continue
        family = _by_name(word) or _by_name(_interpreter(path))
        if family is not None:
            yield family
        elif is_go(Path(path)):
            yield Family.GO


def is_go(path: Path) -> bool:
    """Tell whether a file is a Go program."""
    try:
        with path.open("rb") as file:
            size = min(os.fstat(file.fileno()).st_size, _MAX_SEARCHED)
            with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as content:
                return content.find(_GO_MARK) >= 0
    except (OSError, ValueError):  # not readable; or empty
        return False


def _by_name(word: str) -> Family | None:
    name = Path(word).name
    return next((family for names, family in _NAMES if names.fullmatch(name)), None)


def _interpreter(path: str) -> str:
    """Return the program that runs a script, or nothing."""
    try:
        with Path(path).open("rb") as file:
            line = file.read(_MAX_SHEBANG).partition(b"\n")[0]
    except OSError:
        return ""
    words = line.removeprefix(b"#!").split() if line.startswith(b"#!") else []
    if words and words[0].endswith(b"/env"):
        del words[0]
    return os.fsdecode(words[0]) if words else ""


def _connected(connections: int, *, https: bool) -> str:
    times = "once" if connections == 1 else f"{connections} times"
    reason = (
        "it may not trust the CA of --https: its runtime may read none of the variables"
        " that name it"
        if https
        else "what it sent was no request that could be forwarded"
    )
    return (
        f"The command connected to the proxy {times}, but made no request through it;"
        f" {reason}."
    )
