"""Dialling: name to addresses, policy on each, happy eyeballs, TCP options."""

import asyncio
import errno
import os
import socket
from typing import TYPE_CHECKING, Final

import aiohappyeyeballs

from reuse_proxy.errors import (
    ProxyError,
    UnavailableError,
    UpstreamConnectError,
    UpstreamTimeoutError,
)

if TYPE_CHECKING:
    from aiohappyeyeballs import AddrInfoType

    from reuse_proxy.http.target import Origin
    from reuse_proxy.upstream.dns import NameCache
    from reuse_proxy.upstream.policy import DestinationPolicy
    from reuse_proxy.upstream.stats import SessionStats

_HAPPY_EYEBALLS_DELAY_S: Final = 0.25
_OUT_OF_FILES: Final = (errno.EMFILE, errno.ENFILE)
# A peer that vanished without a FIN is found out within about two minutes.
_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", 0), 60),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", 0), 15),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", 0), 4),
)


class Dialer:
    """Opens connections to origins."""

    def __init__(
        self,
        names: "NameCache",
        policy: "DestinationPolicy",
        *,
        connect_timeout: float,
        stats: "SessionStats",
    ) -> None:
        self._names = names
        self._policy = policy
        self._timeout = connect_timeout
        self._stats = stats

    async def dial(self, origin: "Origin") -> tuple[socket.socket, float]:
        """Open one connected socket; return it and the seconds that TCP took.

        Raises:
            AccessDeniedError: every address of the origin is denied.
            UnavailableError: this process may open no more files.
            UpstreamConnectError: nothing accepts there, or the name is unknown.
            UpstreamTimeoutError: ``connect_timeout`` has passed.
        """
        loop = asyncio.get_running_loop()
        addresses: list[AddrInfoType] | None = None
        try:
            async with asyncio.timeout(self._timeout):
                addresses = await self._addresses(origin.host, origin.port)
                started = loop.time()
                sock = await aiohappyeyeballs.start_connection(
                    addresses, happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY_S
                )
                seconds = loop.time() - started
        except TimeoutError:
            resolved = addresses is not None
            raise UpstreamTimeoutError(
                f"{'Connecting to' if resolved else 'Looking up'} {origin} "
                f"took longer than {self._timeout:g} s (connect_timeout).",
                error="connection_timeout" if resolved else "dns_timeout",
            ) from None
        except OSError as exc:
            if exc.errno in _OUT_OF_FILES:
                raise UnavailableError(
                    f"Connecting to {origin} failed: {_cause(exc)}; raise the limit on"
                    " open files (ulimit -n), or lower max_clients and max_sockets."
                ) from exc
            refused = isinstance(exc, ConnectionRefusedError)
            raise UpstreamConnectError(
                f"Connecting to {origin} failed: {_cause(exc)}.",
                error="connection_refused" if refused else None,
            ) from exc
        _keep_alive(sock)
        self._stats.connect_seconds["tcp"].observe(seconds)
        return sock, seconds

    async def _addresses(self, host: str, port: int) -> "list[AddrInfoType]":
        allowed: list[AddrInfoType] = []
        denial: tuple[str, ProxyError] | None = None
        for address in await self._names.resolve(host):
            broken = self._policy.violation(address, port)
            if broken is not None:
                denial = broken
                continue
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            allowed.append(
                (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            )
        if not allowed and denial is not None:
            rule, error = denial
            self._stats.denied[rule] += 1
            raise error
        return allowed


def _keep_alive(sock: socket.socket) -> None:
    for level, option, value in _KEEPALIVE:
        if option:
            sock.setsockopt(level, option, value)


def _cause(exc: OSError) -> str:
    return os.strerror(exc.errno) if exc.errno else str(exc)
