"""CONNECT: where it may go, and whether it is a tunnel or opened with the local CA."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from reuse_proxy.downstream.accesslog import Served
from reuse_proxy.downstream.intercept import OK
from reuse_proxy.downstream.refusals import host_missing
from reuse_proxy.errors import AccessDeniedError, RequestError, status_of
from reuse_proxy.http.request_fields import read_request_fields
from reuse_proxy.http.target import Origin, parse_connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from reuse_proxy.downstream.intercept import Interceptor
    from reuse_proxy.downstream.reply import Reply
    from reuse_proxy.downstream.request import ClientRequest
    from reuse_proxy.downstream.route import ParentRoute
    from reuse_proxy.downstream.tunnel import Tunnels
    from reuse_proxy.http.request_fields import RequestFields
    from reuse_proxy.upstream.connection import UpstreamConnection
    from reuse_proxy.upstream.session import UpstreamSession

# Neither Content-Length nor Transfer-Encoding: RFC 9110 section 9.3.6.
ESTABLISHED: Final = b"HTTP/1.1 200 Connection Established\r\n\r\n"


class ConnectHandler:
    """Handles CONNECT requests; every refusal closes the connection.

    Attributes:
        parent: the way through a parent proxy, if there is one.
    """

    parent: "ParentRoute | None" = None

    def __init__(
        self,
        session: "UpstreamSession",
        tunnels: "Tunnels",
        *,
        ports: "Sequence[int]",
        interceptor: "Interceptor | None",
    ) -> None:
        self._session = session
        self._tunnels = tunnels
        self.configure(ports=ports, interceptor=interceptor)

    def configure(
        self, *, ports: "Sequence[int]", interceptor: "Interceptor | None"
    ) -> None:
        """Go by other settings from the next request on."""
        self._ports = tuple(ports)
        self._interceptor = interceptor

    def opens(self, origin: Origin) -> bool:
        """Tell whether a CONNECT to an origin is opened with the local CA."""
        interceptor = self._interceptor
        return (
            interceptor is not None
            and interceptor.wants(origin)
            and origin.port in self._ports
        )

    def end_tunnels(self, may_stay: "Callable[[str | None], bool]") -> None:
        """End the tunnels of clients whose address may stay no longer."""
        for tunnel in list(self._tunnels.open):
            if not may_stay(tunnel.host):
                tunnel.abort()

    async def __call__(self, request: "ClientRequest", reply: "Reply") -> None:
        """Serve one CONNECT request, to the end of what it opens.

        Raises:
            ProxyError: it is malformed, not allowed, or nothing answers there.
            ClientGoneError: the client has gone.
        """
        reply.persistent = False
        origin, fields = self._read(request)
        caller = fields.caller
        client, interceptor = request.connection, self._interceptor
        since = self._session.clock()
        served = Served(origin, started=since)
        if client.log is not None:
            client.log.opening = served
        client.caller.credentials = caller or client.caller.credentials
        if interceptor is not None and interceptor.wants(origin):
            await self._intercept(interceptor, origin, reply, served)
            return
        # Who is intercepted says inside what it is: most do not with CONNECT.
        visit = served.visit = client.server.callers.visit(request, caller)
        with self._counted(origin, reply):
            self._check_port(origin)
            if self.parent is not None:
                origin = self.parent.tunnel(origin, fields.via)
            try:
                connection = await self._session.wait(origin, unsafe=True)
            except asyncio.CancelledError:
                if client.left:
                    visit.aborted("queue")
                raise
            finally:
                served.queued = self._session.clock() - since
        await self._tunnel(connection, reply, served)

    async def _intercept(
        self,
        interceptor: "Interceptor",
        origin: Origin,
        reply: "Reply",
        served: Served,
    ) -> None:
        with self._counted(origin, reply):
            self._check_port(origin)
            try:
                result = await interceptor.open(origin, reply, ESTABLISHED)
            finally:
                if reply.status_sent:
                    served.intercepted(origin)
            served.result = None if result == OK else result

    async def _tunnel(
        self, connection: "UpstreamConnection", reply: "Reply", served: Served
    ) -> None:
        served.tunnelled(connection)
        started = self._session.clock()
        try:
            await self._tunnels.carry(connection, reply, 200, ESTABLISHED)
        finally:
            if served.visit is not None:
                seconds = self._session.clock() - started
                served.visit.tunnelled(connection.pool, seconds)

    @contextlib.contextmanager
    def _counted(self, origin: Origin, reply: "Reply") -> "Iterator[None]":
        """Count a request that fails before its client is told anything."""
        try:
            yield
        except BaseException as error:
            if not reply.status_sent:
                stats = self._session.stats.admit(origin)
                stats.requests[status_of(error) // 100, "none"] += 1
            raise

    def _read(self, request: "ClientRequest") -> "tuple[Origin, RequestFields]":
        """Read what is asked for (RFC 9110 section 9.3.6)."""
        if request.connection.intercepted is not None:
            raise RequestError("A CONNECT inside of an intercepted one is refused.")
        origin = parse_connect(request.target)
        fields = read_request_fields(request.raw_fields, traced=False)
        if fields.host is None and not request.http10:
            raise host_missing()
        if fields.length or fields.coding:
            raise RequestError(
                "A CONNECT request has no body: Content-Length and Transfer-Encoding "
                "are refused (RFC 9110 section 9.3.6)."
            )
        return origin, fields

    def _check_port(self, origin: Origin) -> None:
        if origin.port not in self._ports:
            self._session.stats.denied["connect_ports"] += 1
            allowed = ", ".join(map(str, self._ports)) or "none"
            raise AccessDeniedError(
                f"CONNECT to port {origin.port} is not allowed "
                f"(connect_ports = {allowed})."
            )
