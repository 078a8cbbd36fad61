"""Dialling: name to addresses, policy on each, happy eyeballs, TCP options, TLS."""

import asyncio
import contextlib
import errno
import os
import socket
import time
from typing import TYPE_CHECKING, Final, TypeVar

import aiohappyeyeballs

from reuse_proxy.errors import (
    ProxyError,
    UnavailableError,
    UpstreamConnectError,
    UpstreamTimeoutError,
)
from reuse_proxy.http.target import PARENT
from reuse_proxy.upstream import tls
from reuse_proxy.upstream.parent import open_tunnel, spelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohappyeyeballs import AddrInfoType

    from reuse_proxy.config.parent import ParentProxy
    from reuse_proxy.http.target import Origin
    from reuse_proxy.upstream.dns import NameCache
    from reuse_proxy.upstream.options import SessionOptions
    from reuse_proxy.upstream.policy import DestinationPolicy
    from reuse_proxy.upstream.stats import SessionStats
    from reuse_proxy.upstream.tls import TlsContexts

P = TypeVar("P", bound=asyncio.BaseProtocol)

_HAPPY_EYEBALLS_DELAY_S: Final = 0.25
_LEAST_TLS_S: Final = 0.1
# For how long what waits may take to be sent after a close, and to be answered; only
# tunnels are closed so, all else is aborted.
_TLS_SHUTDOWN_S: Final = 60.0
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
        options: "SessionOptions",
        *,
        policy: "DestinationPolicy",
        tls: "TlsContexts",
        stats: "SessionStats",
    ) -> None:
        self._names = names
        self.configure(options, policy=policy, tls=tls)
        self._stats = stats
        self._handshaking: set[socket.socket] = set()
        self._abandoned = False

    def configure(
        self,
        options: "SessionOptions",
        *,
        policy: "DestinationPolicy",
        tls: "TlsContexts",
    ) -> None:
        """Set how long dials may take, where they may go, and what TLS goes by."""
        self._timeout = options.connect_timeout
        self._tls_timeout = options.tls_timeout
        self._policy = policy
        self._tls = tls

    async def dial(self, origin: "Origin") -> tuple[socket.socket, float]:
        """Open one connected socket; return it and the seconds that it took.

        Through a parent, it ends at the origin, or at the parent where that is asked.

        Raises:
            AccessDeniedError: every address of the origin is denied, or the parent says
                no (502).
            UnavailableError: this process may open no more files.
            UpstreamConnectError: nothing accepts there, or the name is unknown.
            UpstreamTimeoutError: ``connect_timeout`` has passed.
        """
        deadline = asyncio.get_running_loop().time() + self._timeout
        sock, seconds = await self._connect(origin, deadline)
        _keep_alive(sock)
        parent = origin.parent
        if parent is not None and origin.scheme != PARENT:
            seconds += await self._open_tunnel(sock, parent, origin, deadline)
        return sock, seconds

    async def _connect(
        self, origin: "Origin", deadline: float
    ) -> tuple[socket.socket, float]:
        """Connect to the origin, or to the parent through which it is reached."""
        addresses: list[AddrInfoType] | None = None
        hop = str(origin)
        if origin.parent is not None:
            hop = f"the parent {spelled(origin.parent)}"
        try:
            async with asyncio.timeout_at(deadline):
                addresses = await self._addresses(origin)
                # uvloop's clock counts milliseconds: too coarse for what is measured.
                started = time.perf_counter()
                sock = await aiohappyeyeballs.start_connection(
                    addresses, happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY_S
                )
                seconds = time.perf_counter() - started
        except TimeoutError:
            if addresses is None:
                raise self._too_slow("Looking up", hop, "dns_timeout") from None
            raise self._too_slow("Connecting to", hop) from None
        except OSError as exc:
            raise _failure(f"Connecting to {hop}", exc) from exc
        self._stats.connect_seconds["tcp"].observe(seconds)
        return sock, seconds

    async def _open_tunnel(
        self,
        sock: socket.socket,
        parent: "ParentProxy",
        origin: "Origin",
        deadline: float,
    ) -> float:
        """Have a parent connect a socket to an origin; return the seconds it took."""
        hop = f"the parent {spelled(parent)} for a tunnel to {origin}"
        started = time.perf_counter()
        try:
            async with asyncio.timeout_at(deadline):
                await open_tunnel(sock, parent, origin)
        except TimeoutError:
            raise self._too_slow("Asking", hop) from None
        except OSError as exc:
            raise _failure(f"Asking {hop}", exc) from exc
        seconds = time.perf_counter() - started
        self._stats.connect_seconds["parent"].observe(seconds)
        return seconds

    def _too_slow(
        self, doing: str, whom: str, error: str = "connection_timeout"
    ) -> UpstreamTimeoutError:
        return UpstreamTimeoutError(
            f"{doing} {whom} took longer than {self._timeout:g} s (connect_timeout).",
            error=error,
        )

    async def attach(
        self,
        origin: "Origin",
        sock: socket.socket,
        protocol: "Callable[[], P]",
        *,
        spent: float,
    ) -> "tuple[P, float]":
        """Hand a connected socket to the loop, through TLS where the origin wants it.

        Must not be cancelled: uvloop attaches the socket after ``connection_made``,
        and one that is closed in between is closed twice, the second time under
        somebody else's number.  :meth:`abandon` ends what takes too long.

        Args:
            origin: tells whether TLS is spoken, and with whom.
            sock: from :meth:`dial`.
            protocol: makes what receives.
            spent: seconds of ``tls_timeout`` that are over.

        Returns:
            The protocol, and the seconds that TLS took.

        Raises:
            UpstreamConnectError: no TLS, or not with a certificate that is trusted.
            UpstreamTimeoutError: ``tls_timeout`` has passed.
        """
        loop = asyncio.get_running_loop()
        if origin.scheme == "https":
            return await self._attach_tls(origin, sock, protocol, spent=spent)
        try:
            _, made = await loop.create_connection(protocol, sock=sock)
        except OSError as exc:
            raise UpstreamConnectError(
                f"Connecting to {origin} failed: {exc}."
            ) from exc
        return made, 0.0

    async def _attach_tls(
        self,
        origin: "Origin",
        sock: socket.socket,
        protocol: "Callable[[], P]",
        *,
        spent: float,
    ) -> "tuple[P, float]":
        loop = asyncio.get_running_loop()
        try:
            tls.check_name(origin)
            context = await self._tls.context(origin)
            if self._abandoned:
                raise UnavailableError("The proxy is stopping.")  # noqa: TRY301
        except BaseException:
            sock.close()
            raise
        # The first context loads the authorities, which no further dial would.
        started = time.perf_counter()
        self._handshaking.add(sock)
        try:
            transport, made = await loop.create_connection(
                protocol,
                sock=sock,
                ssl=context,
                server_hostname=origin.host,
                ssl_handshake_timeout=max(self._tls_timeout - spent, _LEAST_TLS_S),
                ssl_shutdown_timeout=_TLS_SHUTDOWN_S,
            )
        except OSError as exc:
            raise tls.translate(origin, exc, seconds=self._tls_timeout) from exc
        finally:
            self._handshaking.discard(sock)
        seconds = time.perf_counter() - started
        self._stats.connect_seconds["tls"].observe(seconds)
        context.remember(origin.host, transport.get_extra_info("ssl_object"))
        return made, seconds

    def abandon(self) -> None:
        """End every handshake that is under way, and begin no other."""
        self._abandoned = True
        for sock in self._handshaking:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    async def _addresses(self, origin: "Origin") -> "list[AddrInfoType]":
        allowed: list[AddrInfoType] = []
        denial: tuple[str, ProxyError] | None = None
        host, port = origin.next_hop
        violation = self._policy.violation
        if origin.parent is not None:
            # Whoever named it has allowed it.
            violation = self._policy.parent_violation
        for address in await self._names.resolve(host):
            broken = violation(address, port)
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


def _failure(doing: str, exc: OSError) -> ProxyError:
    if exc.errno in _OUT_OF_FILES:
        return UnavailableError(
            f"{doing} failed: {_cause(exc)}; raise the limit on open files (ulimit -n),"
            " or lower max_clients and max_sockets."
        )
    refused = isinstance(exc, ConnectionRefusedError)
    return UpstreamConnectError(
        f"{doing} failed: {_cause(exc)}.",
        error="connection_refused" if refused else None,
    )


def _cause(exc: OSError) -> str:
    return os.strerror(exc.errno) if exc.errno else str(exc)
