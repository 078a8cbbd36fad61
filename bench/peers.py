"""The servers of a benchmark: an nginx origin and the proxies, on loopback.

Each is started by us from a configuration in a temporary directory, and ended by
its process id.  Nothing here measures.
"""

# ruff: noqa: S603 - the programs are found on PATH and get arguments of ours

import contextlib
import functools
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from peers_config import (
    HAPROXY,
    NGINX_PROXY,
    ORIGIN,
    SQUID,
    written,
)
from ports import free_ports

LOOPBACK = "127.0.0.1"
BIG_FILE_BYTES = 100_000_000
# What the origin has to give, in bytes.
FILES = {"10k": 10 << 10, "1m": 1 << 20, "big": BIG_FILE_BYTES}
# Generous: an instrumented Python takes its time, and one that ends is seen at once.
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5.0
# How exactly a server's start is timed.
_POLL_S = 0.002
# Debian keeps servers where an ordinary user's PATH does not look.
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
_TOP = Path(__file__).resolve().parents[1]
# Run inside a source tree, this is the proxy of that tree.
REUSE_PROXY = (sys.executable, "-m", "reuse_proxy")


class UnavailableError(Exception):
    """A program is not installed, or does not start; says which and why."""


@dataclass(frozen=True)
class Server:
    """A running server; ``process`` leads a process group of its own.

    It was started at ``started`` on the monotonic clock, and listened at
    ``listening``; ``admin`` is the port that only reuse-proxy has.
    """

    name: str
    version: str
    port: int
    process: "subprocess.Popen[bytes]"
    started: float = 0.0
    listening: float = 0.0
    admin: int = 0


@contextlib.contextmanager
def on_cpus(cpus: set[int]) -> Iterator[None]:
    """Have processes that are started inside the block run on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def program(name: str) -> str:
    """Find a program, or raise UnavailableError."""
    path = shutil.which(name, path=_PATH)
    if path is None:
        raise UnavailableError(f"{name} is not installed")
    return path


@functools.cache
def version(*command: str, tree: Path = _TOP) -> str:
    """Return the version number that a program prints about itself."""
    # wrk's --version ends with its usage and exit code 1; nginx writes to stderr.
    done = subprocess.run(
        command, cwd=tree, capture_output=True, check=False, timeout=20
    )
    found = re.search(rb"\d+(\.\d+)+", done.stdout + done.stderr)
    return found.group().decode() if found else "unknown"


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[Server]:
    """Run the origin: /small, /status and files, /big (a sparse one) among them."""
    path, folder = program("nginx"), room(folder, "origin")
    for name, size in FILES.items():
        with (folder / name).open("wb") as file:
            file.truncate(size)
        (folder / name).chmod(0o644)
    port = free_port()
    config = written(folder / "nginx.conf", ORIGIN, folder=folder, port=port)
    arguments = [path, "-p", str(folder), "-e", f"{folder}/nginx.log", "-c", config]
    with running("nginx", version(path, "-v"), port, arguments, folder) as server:
        yield server


# Each of the proxies takes a folder and the port of the origin...


@contextlib.contextmanager
def reuse_proxy(folder: Path, origin: int) -> Iterator[Server]:
    """Run the proxy of this source tree with this interpreter."""
    with reuse_proxy_of(_TOP, "reuse-proxy", folder, origin) as server:
        yield server


@contextlib.contextmanager
def reuse_proxy_of(
    tree: Path,
    name: str,
    folder: Path,
    origin: int,
    *settings: str,
    command: Sequence[str] = REUSE_PROXY,
) -> Iterator[Server]:
    """Run the proxy of any source tree, under a name and by a command of its own."""
    folder = room(folder, name)
    port, admin = free_port(), free_port()
    listeners = ["--listen", f"{LOOPBACK}:{port}", "--admin", f"{LOOPBACK}:{admin}"]
    more = ["--connect-ports", str(origin), *settings]
    number = version(*REUSE_PROXY, "--version", tree=tree)
    arguments = [*command, "serve", *listeners, *more]
    with running(name, number, port, arguments, folder, tree) as server:
        yield replace(server, admin=admin)


@contextlib.contextmanager
def squid(folder: Path, origin: int) -> Iterator[Server]:
    """Run squid as a forward proxy that stores nothing."""
    del origin
    command = (program("squid"), "-N", "-f")
    with configured("squid", command, SQUID, folder) as server:
        yield server


@contextlib.contextmanager
def haproxy(folder: Path, origin: int) -> Iterator[Server]:
    """Run HAProxy, which is no forward proxy: its upstream is fixed to the origin."""
    command = (program("haproxy"), "-f")
    with configured("haproxy", command, HAPROXY, folder, origin) as server:
        yield server


@contextlib.contextmanager
def nginx_proxy(folder: Path, origin: int) -> Iterator[Server]:
    """Run nginx as a reverse proxy: its upstream is fixed, too."""
    log = folder / "nginx" / "nginx.log"
    command = (program("nginx"), "-p", str(log.parent), "-e", str(log), "-c")
    with configured("nginx", command, NGINX_PROXY, folder, origin) as server:
        yield server


@contextlib.contextmanager
def configured(
    name: str,
    command: Sequence[str],
    template: str,
    folder: Path,
    origin: int = 0,
    flag: str = "-v",
) -> Iterator[Server]:
    """Run a proxy whose last argument is its configuration; ``flag`` asks its version."""
    folder, port = room(folder, name), free_port()
    values = {"folder": folder, "port": port, "origin": origin}
    config = written(folder / "config", template, **values)
    number = version(command[0], flag)
    with running(name, number, port, [*command, config], folder) as server:
        yield server


Start = Callable[[Path, int], contextlib.AbstractContextManager[Server]]
PROXIES = (reuse_proxy, squid, haproxy, nginx_proxy)
# These know one upstream, and no CONNECT.
FIXED_UPSTREAM = frozenset({"haproxy", "nginx"})


@contextlib.contextmanager
def running(
    name: str,
    number: str,
    port: int,
    arguments: list[str],
    folder: Path,
    tree: Path = _TOP,
) -> Iterator[Server]:
    """Start a server, wait until it listens, and end it by its process id."""
    log = folder / "output.log"
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            arguments,
            cwd=tree,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_until_listening(name, process, port, log)
        yield Server(name, number, port, process, started, time.monotonic())
    finally:
        _end(process)


def _wait_until_listening(
    name: str, process: "subprocess.Popen[bytes]", port: int, log: Path
) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port)):
            return
        time.sleep(_POLL_S)
    last = log.read_text("utf-8", "replace").strip().rpartition("\n")[2]
    raise UnavailableError(f"{name} does not start: {last or 'no output'}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    return free_ports(1)[0]


def room(folder: Path, name: str) -> Path:
    """Make a folder that a server can use after it gave up root's rights."""
    folder.chmod(0o755)
    room = folder / name
    room.mkdir()
    room.chmod(0o777)
    return room
