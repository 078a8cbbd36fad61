"""Interception, opt-in: CONNECT to a listed host is opened with the local CA.

The client's TLS ends here, with a leaf of the local CA; what it asks inside goes
through the pool like any other request, and the origin's certificate is verified
there.  Hosts that are not listed stay opaque tunnels.
"""

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING, Final, Protocol, cast

from reuse_proxy import program
from reuse_proxy.config.hosts import HostPattern, matches_any
from reuse_proxy.downstream.reply import plain_response
from reuse_proxy.http.target import Origin
from reuse_proxy.tasks import TaskSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reuse_proxy.ca.leaves import Leaves
    from reuse_proxy.downstream.client import ClientConnection
    from reuse_proxy.downstream.reply import Reply
    from reuse_proxy.upstream.session import UpstreamSession

log = logging.getLogger(__name__)

OK: Final = "ok"
_HANDSHAKE: Final = 0x16
# For how long what waits may take to be sent after a close.
_TLS_SHUTDOWN_S: Final = 60.0
_MAX_TOLD: Final = 1000
# What to do about a client that does not trust the CA.
_ADVICE: Final = "`{} ca show` says how to make it, or take the host out of intercept"
# How TLS libraries say that they do not trust the one who signed.
_REFUSALS: Final = ("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN")
_NOT_TLS: Final = (
    "This CONNECT is opened by the proxy (intercept), which takes only TLS inside of"
    " it, and what came is not TLS. Send http:// requests to the proxy as they are."
)


class Interceptor:
    """Opens the CONNECT requests to listed hosts."""

    def __init__(
        self,
        session: "UpstreamSession",
        leaves: "Leaves",
        hosts: "Sequence[HostPattern]",
        *,
        handshake_timeout: float,
        tasks: TaskSet,
        advice: str | None = None,
    ) -> None:
        self._session = session
        self._leaves = leaves
        self._hosts = tuple(hosts)
        self._timeout = handshake_timeout
        self._tasks = tasks
        self._advice = advice or _ADVICE.format(program.command())
        self._told: set[str] = set()

    def wants(self, origin: Origin) -> bool:
        """Tell whether a host is listed."""
        return matches_any(self._hosts, origin.host, origin.port)

    async def open(self, origin: Origin, reply: "Reply", head: bytes) -> str:
        """Speak TLS with a client in the place of an origin, and serve it anew.

        What came of it is returned, as metrics count it.

        Args:
            origin: what CONNECT asked for.
            reply: its client gives the transport away; a new one takes its place.
            head: what the client is told first.

        Raises:
            ProxyError: no certificate can be made for the host.
            ClientGoneError: the client has gone.
        """
        context = await self._leaves.context(origin.host)
        origin = origin._replace(scheme="https")
        client = reply.begin_tunnel(200, head)
        raw, early = client.hand_over()
        hello = Hello(raw, early)
        try:
            prelude = await self._handshake(raw, hello, context)
        except BaseException as exc:
            raw.abort()
            client.handed_back()
            if not isinstance(exc, OSError):
                raise
            return self._note_failure(client, origin, exc, answered=hello.is_complete)
        if prelude is None:
            client.handed_back()
            return self._count(origin, "not_tls")
        self._session.stats.admit(origin).requests[2, "intercept"] += 1
        result = self._count(origin, OK)
        prelude.hand_on(client, raw, Intercepted(origin, self))
        return result

    async def _handshake(
        self, raw: asyncio.Transport, hello: "Hello", context: ssl.SSLContext
    ) -> "Prelude | None":
        """Open TLS; None if the client speaks something else.

        Raises:
            OSError: the client refuses our certificate, has gone, or takes too long.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with asyncio.timeout(self._timeout):
            first = await hello.first
        if first[0] != _HANDSHAKE:
            raw.write(plain_response(400, _NOT_TLS, [b"Connection: close\r\n"]))
            raw.close()
            return None
        prelude = Prelude()
        opening = self._tasks.run(
            loop.start_tls(
                raw,
                prelude,
                context,
                server_side=True,
                ssl_handshake_timeout=self._timeout - (loop.time() - started),
                ssl_shutdown_timeout=_TLS_SHUTDOWN_S,
            ),
            name="client TLS",
        )
        # Behind what start_tls has the loop do first, before it reads anything more.
        loop.call_soon(loop.call_soon, feed, raw, first)
        try:
            transport = await opening
        finally:
            opening.cancel()
        if transport is None:
            raise ConnectionResetError("the client left")
        prelude.transport = transport
        return prelude

    # Failures...

    def _note_failure(
        self,
        client: "ClientConnection",
        origin: Origin,
        exc: OSError,
        *,
        answered: bool,
    ) -> str:
        """Count a failure; ``answered``: the client has been sent our certificate.

        Most TLS libraries say why they refuse it, asyncio's just closes.
        """
        reason = exc.reason if isinstance(exc, ssl.SSLError) else ""
        closed = answered and isinstance(exc, ConnectionResetError)
        if closed or any(refusal in (reason or "") for refusal in _REFUSALS):
            self._tell(client, origin, "refused")
            return self._count(origin, "refused_ca")
        if isinstance(exc, ssl.SSLError):
            return self._count(origin, "tls_error")
        if isinstance(exc, ConnectionAbortedError | TimeoutError):
            return self._count(origin, "timeout")
        return self._count(origin, "closed")

    def note_unused(self, client: "ClientConnection", origin: Origin) -> None:
        """Note a client that opened TLS and closed it without a request.

        Some libraries look at the certificate only then.
        """
        self._count(origin, "no_request")
        self._tell(client, origin, "closed at once")

    def _tell(self, client: "ClientConnection", origin: Origin, how: str) -> None:
        """Say once for each host how a client comes to trust the local CA."""
        if origin.host in self._told or len(self._told) >= _MAX_TOLD:
            return
        self._told.add(origin.host)
        log.warning(
            "a client%s %s the connection that was opened for %s with the local CA: it"
            " does not trust it, it seems; %s",
            f" at {client.host}" if client.host else "",
            how,
            origin,
            self._advice,
        )

    def _count(self, origin: Origin, result: str) -> str:
        self._session.stats.admit(origin).intercepts[result] += 1
        return result


class Intercepted:
    """What an intercepted client had asked for."""

    __slots__ = ("_interceptor", "origin")

    def __init__(self, origin: Origin, interceptor: Interceptor) -> None:
        self.origin = origin
        self._interceptor = interceptor

    def unused(self, client: "ClientConnection") -> None:
        """Note that the client asked for nothing."""
        self._interceptor.note_unused(client, self.origin)


class Hello(asyncio.Protocol):
    """Waits for a client's first bytes, to see whether they are TLS."""

    def __init__(self, raw: asyncio.Transport, early: bytes) -> None:
        self._raw = raw
        self.first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        # A whole ClientHello has come: five bytes in front tell its size.
        self.is_complete = False
        raw.set_protocol(self)
        if early:
            self.data_received(early)
        else:
            raw.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Take them, and no more: the rest is for TLS to read."""
        self._raw.pause_reading()
        self.is_complete = len(data) >= 5 + int.from_bytes(data[3:5], "big")
        if not self.first.done():
            self.first.set_result(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that the client has gone."""
        if not self.first.done():
            self.first.set_exception(exc or ConnectionResetError("the client left"))


class Prelude(asyncio.Protocol):
    """Holds what comes through TLS before the loop has told us that it is open."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._data = b""
        self._lost = False
        self._inner: ClientConnection | None = None

    def data_received(self, data: bytes) -> None:
        """Hold bytes: a client's first request comes with the end of its handshake."""
        self._data += data

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who has taken over: asyncio may have had this call in its queue."""
        self._lost = True
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def hand_on(
        self,
        client: "ClientConnection",
        below: asyncio.Transport,
        intercepted: "Intercepted",
    ) -> None:
        """Let a new client connection go on with what has come."""
        if self._lost:
            intercepted.unused(client)
            client.handed_back()
            return
        self._inner = client.server.replace(
            client, self.transport, below=below, intercepted=intercepted
        )
        if self._data:
            self._inner.data_received(self._data)


class _Fed(Protocol):
    def get_buffer(self, sizehint: int, /) -> memoryview:
        """Return where to put bytes."""

    def buffer_updated(self, nbytes: int, /) -> None:
        """Take so many of them."""


def feed(raw: asyncio.Transport, data: bytes) -> None:
    """Hand bytes to the TLS protocol of a transport, as if it had just received them.

    It is a buffered protocol on both loops: asyncio's documentation of
    ``BufferedProtocol`` says how such a one is fed.
    """
    protocol = raw.get_protocol()
    if not hasattr(protocol, "get_buffer"):
        return  # it has been closed meanwhile
    fed = cast("_Fed", protocol)
    while data:
        buffer = memoryview(fed.get_buffer(len(data)))
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        fed.buffer_updated(size)
        data = data[size:]
