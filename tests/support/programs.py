"""Real client programs: built once, run as subprocesses with an environment."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

PROGRAMS = Path(__file__).parents[1] / "programs"
NODE = PROGRAMS / "node"
SKIP_NOTHING = "TESTS_SKIP_NOTHING"
# Where servers are, which are not on every user's PATH.
_FOR_ROOT = "/usr/sbin:/sbin"

# What a machine may have set for its clients: which authorities they trust, and more.
_OF_CLIENTS = re.compile(
    r".*ca_?bundle|.*ca_?certs?|(curl|git|node|npm|pip|ssl_cert)_.*", re.IGNORECASE
)


def need(program: str) -> str:
    """Return a program's path; where it is missing, skip, or fail in CI."""
    path = shutil.which(program) or shutil.which(program, path=_FOR_ROOT)
    if path is None:
        missing(program)
    return path


def need_file(path: str) -> str:
    """Return a file's path; where it is missing, skip, or fail in CI."""
    if not Path(path).exists():
        missing(path)
    return path


def node_program(name: str, package: str = "undici") -> list[str]:
    """Return the command of a program that needs Node and a package."""
    node = need("node")
    if not (NODE / "node_modules" / package).is_dir():
        missing(package)
    return [node, str(NODE / name)]


def newest_node() -> str:
    """Return the Node from npm, whose fetch knows proxies, else the machine's."""
    found = NODE.glob("node_modules/node-linux-*/bin/node")
    return next(map(str, found), "") or need("node")


def missing(what: str) -> NoReturn:
    """Skip for want of something; fail in CI."""
    if os.environ.get(SKIP_NOTHING):
        pytest.fail(f"{what} is missing, and nothing may be skipped here")
    pytest.skip(f"{what} is not installed")


def clean_environment() -> dict[str, str]:
    """Return the environment without the machine's own proxies and authorities."""
    return {
        key: value
        for key, value in os.environ.items()
        if not _is_proxy(key) and not _OF_CLIENTS.fullmatch(key)
    }


def _is_proxy(name: str) -> bool:
    return name.lower().endswith("_proxy")


def build_go(source: str, target: Path) -> Path:
    """Compile one of the Go programs."""
    binary = target / source.removesuffix(".go")
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    subprocess.run(  # noqa: S603 - our own source
        [need("go"), "build", "-o", str(binary), str(PROGRAMS / source)],
        check=True,
        env=environment,
        cwd=target,
    )
    return binary


async def run(
    *command: str,
    proxy: str | None = None,
    environment: Mapping[str, str] | None = None,
    seconds: float = 60,
) -> str:
    """Run a program with a proxy in its environment or without; return its output.

    Args:
        command: the program and its arguments.
        proxy: the proxy's URL, for HTTP and for HTTPS.
        environment: what is set; without it only the machine's own proxies are taken
            away, with it the machine's authorities as well.
        seconds: how long it may take.

    Raises:
        AssertionError: it ended with another code than 0, or did not end.
    """
    if environment is None:
        variables = {k: v for k, v in os.environ.items() if not _is_proxy(k)}
    else:
        variables = clean_environment() | dict(environment)
    if proxy is not None:
        # Some programs read only the one spelling, some only the other.
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            variables |= {name: proxy, name.lower(): proxy}
    process = await asyncio.create_subprocess_exec(
        *command,
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode()
    assert process.returncode == 0, text
    return text


def put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the shell find a program of our name in a folder, until the test's end."""
    path = folder / "bin" / "reuse-proxy"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return path
