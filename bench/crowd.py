"""Client connections that are opened and then left alone, thousands of them."""

import contextlib
import resource
import select
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from measure import FailedError
from origins import NAME
from peers import LOOPBACK

# Enough for the largest crowd; squid sets memory aside for each that it may open.
_FILES = 16384
_TIMEOUT_S = 20.0
_BODY = b"twelve bytes"
_OK = b"HTTP/1.1 200 "
_CHUNK_BYTES = 65536


@contextlib.contextmanager
def many_files() -> Iterator[None]:
    """Let this process and those it starts open enough files for a crowd."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Crowd:
    """Connections to one proxy."""

    def __init__(self, proxy: int) -> None:
        self._proxy = proxy
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self._sockets:
            client.close()

    def __len__(self) -> int:
        return len(self._sockets)

    def connect(self, total: int) -> None:
        """Have so many in all, the new ones without a request."""
        while len(self) < total:
            self._connect()

    def ask(self, total: int, origin: int) -> None:
        """Have so many in all, each new one after a request of its own."""
        request = _get(f"http://{LOOPBACK}:{origin}/small", f"{LOOPBACK}:{origin}")
        while len(self) < total:
            _exchange(self._connect(), request, _BODY)

    def ask_inside_tls(self, total: int, origin: int, trust: Path) -> None:
        """Have so many in all, each new one after CONNECT and a request in TLS."""
        context = ssl.create_default_context(cafile=str(trust))
        authority = f"{NAME.lower()}:{origin}"
        request = _get("/small", authority)
        connect = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()
        while len(self) < total:
            client = self._connect()
            _exchange(client, connect, b"\r\n\r\n")
            # The wrapped socket takes the place of the plain one.
            client = context.wrap_socket(client, server_hostname=NAME.lower())
            self._sockets[-1] = client
            _exchange(client, request, _BODY)

    def check(self) -> None:
        """Raise FailedError if one has been closed, or been told anything more."""
        poll = select.poll()
        for client in self._sockets:
            poll.register(client, select.POLLIN)
        gone = len(poll.poll(0))
        if gone:
            raise FailedError(f"{gone} of {len(self)} idle connections were closed")

    def _connect(self) -> socket.socket:
        client = socket.create_connection((LOOPBACK, self._proxy), _TIMEOUT_S)
        self._sockets.append(client)
        return client


def _get(target: str, authority: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()


def _exchange(client: socket.socket, request: bytes, end: bytes) -> None:
    """Send a request, and read until its response ends."""
    client.sendall(request)
    received = b""
    while not received.endswith(end):
        data = client.recv(_CHUNK_BYTES)
        if not data:
            raise FailedError(f"not served: {received[:200]!r}")
        received += data
    if not received.startswith(_OK):
        raise FailedError(f"not served: {received[:200]!r}")
