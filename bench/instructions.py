"""User-space instructions per request, as callgrind counts them: a count repeats.

`python bench/instructions.py [--tree T] [--new] [--clients N]` prints one line.  CPU
time varies by a tenth from run to run, this by a few thousandths; it leaves out what
the kernel does, which is about half of the time.
"""

# ruff: noqa: S603 - the programs are found on PATH and get arguments of ours

import argparse
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from measure import FailedError
from peers import (
    LOOPBACK,
    REUSE_PROXY,
    Server,
    UnavailableError,
    nginx,
    program,
    reuse_proxy_of,
)
from setting import TOP, Bench, setting

_BODY = b"twelve bytes"  # of the origin's /small
_TIMEOUT_S = 60.0
# Enough that what the interpreter specialises and caches has been.
_WARM_UP = 200
# Like a browser's; the proxy reads and rewrites them.
_FIELDS = "User-Agent: instructions\r\nAccept: */*\r\n"


def main() -> int:
    """Count and print."""
    options = _arguments()
    try:
        with setting(rounds=1, seconds=1, tree=options.tree) as bench:
            each = instructions(
                bench, options.requests, clients=options.clients, new=options.new
            )
            if options.keep:
                shutil.copy(_file(bench), options.keep)
    except (UnavailableError, FailedError, OSError) as exc:
        sys.stderr.write(f"{exc}; nothing was counted\n")
        return 1
    kind = "new connections" if options.new else "keep-alive"
    sys.stdout.write(
        f"{each:,.0f} user-space instructions per request"
        f" ({options.requests} requests, {options.clients} clients, {kind})\n"
    )
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="User-space instructions per request.")
    parser.add_argument("--tree", type=Path, default=TOP, help="source tree to measure")
    parser.add_argument("--new", action="store_true", help="a connection per request")
    parser.add_argument("--clients", type=int, default=1, help="at the same time")
    parser.add_argument("--requests", type=int, default=1000, help="that are counted")
    parser.add_argument("--keep", type=Path, help="a file for callgrind_annotate")
    return parser.parse_args()


def instructions(
    bench: Bench,
    requests: int,
    *,
    clients: int = 1,
    new: bool = False,
    command: Sequence[str] = REUSE_PROXY,
) -> float:
    """Return the instructions of one request, over many.

    Args:
        bench: where; the proxy is that of its source tree.
        requests: how many are counted.
        clients: how many are under way at the same time.
        new: whether each request has a connection of its own.
        command: how reuse-proxy is started.

    Raises:
        UnavailableError: valgrind or nginx is missing.
        FailedError: not every request was served.
    """
    counted = _file(bench)
    with (
        nginx(bench.folder) as origin,
        reuse_proxy_of(
            bench.tree,
            "counted",
            bench.folder,
            origin.port,
            # These look-ups are bounded by time, and so would count for too much.
            "--no-client-processes",
            command=[*_valgrind(counted), *command],
        ) as proxy,
    ):
        load = _Load(proxy, origin.port, clients=clients, new=new)
        try:
            load.run(_WARM_UP)
            _switch(proxy, "on")
            load.run(requests)
            _switch(proxy, "off")
        except OSError as exc:
            code = proxy.process.poll()
            state = "runs" if code is None else f"has ended with {code}"
            raise FailedError(f"not served: {exc}; the proxy {state}") from exc
    return _total(counted) / requests


def _valgrind(counted: Path) -> list[str]:
    return [
        # The same hashes in every process, so that counts repeat.
        program("env"),
        "PYTHONHASHSEED=0",
        program("valgrind"),
        "--tool=callgrind",
        "--instr-atstart=no",
        f"--callgrind-out-file={counted}",
    ]


def _file(bench: Bench) -> Path:
    return bench.folder / "callgrind.out"


def _switch(proxy: Server, state: str) -> None:
    control = [program("callgrind_control"), "-i", state, str(proxy.process.pid)]
    done = subprocess.run(
        control, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
    )
    if done.returncode or "OK" not in done.stdout:
        raise FailedError(f"callgrind_control: {done.stdout}{done.stderr}".strip())


def _total(counted: Path) -> int:
    """Return the instructions that a finished callgrind has written down."""
    found = re.search(r"^totals: (\d+)", counted.read_text(), re.MULTILINE)
    if found is None or found.group(1) == "0":
        raise FailedError("callgrind counted nothing")
    return int(found.group(1))


class _Load:
    """A client on raw sockets: it sends as many requests as it is told to, no more."""

    def __init__(self, proxy: Server, origin: int, *, clients: int, new: bool) -> None:
        self._address = (LOOPBACK, proxy.port)
        self._clients, self._new = clients, new
        authority = f"{LOOPBACK}:{origin}"
        close = "Connection: close\r\n" if new else ""
        self._request = (
            f"GET http://{authority}/small HTTP/1.1\r\n"
            f"Host: {authority}\r\n{_FIELDS}{close}\r\n"
        ).encode()
        self._sockets: list[socket.socket] = []

    def run(self, requests: int) -> None:
        """Send this many requests, ``clients`` at a time, and read the responses."""
        for start in range(0, requests, self._clients):
            if self._new or not self._sockets:
                self._sockets = [self._connect() for _ in range(self._clients)]
            wanted = self._sockets[: requests - start]
            for client in wanted:
                client.sendall(self._request)
            for client in wanted:
                self._receive(client)

    def _connect(self) -> socket.socket:
        return socket.create_connection(self._address, _TIMEOUT_S)

    def _receive(self, client: socket.socket) -> None:
        received = b""
        while not received.endswith(_BODY):
            data = client.recv(65536)
            if not data:
                raise FailedError(f"not served: {received[:200]!r}")
            received += data
        if not received.startswith(b"HTTP/1.1 200 "):
            raise FailedError(f"not served: {received[:200]!r}")
        if self._new:
            self._end(client)

    def _end(self, client: socket.socket) -> None:
        """Close a connection that the proxy has closed."""
        if client.recv(65536):
            raise FailedError("there is more than one response")
        client.close()


if __name__ == "__main__":
    sys.exit(main())
