"""The one handler: target, rules, exchange, reply.

Every error of ours becomes a response here, and nowhere else while a request is
being handled.
"""

import asyncio
import contextlib
import logging
import secrets
from typing import TYPE_CHECKING, Final

from aiohttp import HttpVersion11

from reuse_proxy.config.address import Address
from reuse_proxy.downstream.originate import Origination
from reuse_proxy.downstream.refusals import body_too_large
from reuse_proxy.downstream.reply import ClientGoneError, Reply
from reuse_proxy.downstream.request import ClientBody
from reuse_proxy.errors import ProxyError, RequestError
from reuse_proxy.forward import Exchange, ForwardRequest
from reuse_proxy.http.framing import Framing
from reuse_proxy.http.headers import PSEUDONYM, read_request_fields
from reuse_proxy.http.target import parse_absolute, target_inside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reuse_proxy.config.hosts import TlsRoute
    from reuse_proxy.downstream.connect import ConnectHandler
    from reuse_proxy.downstream.request import ClientRequest
    from reuse_proxy.downstream.tunnel import Tunnels
    from reuse_proxy.http.headers import RequestFields
    from reuse_proxy.http.target import ProxyTarget
    from reuse_proxy.ledger.visit import Visit
    from reuse_proxy.tasks import TaskSet
    from reuse_proxy.upstream.session import UpstreamSession

_NONE: Final = Framing.NONE
_TRACED: Final = frozenset({"TRACE", "OPTIONS"})
_VERSIONS: Final = ((1, 0), (1, 1))
_WHAT_THIS_IS: Final = (
    "This is reuse-proxy, a forward proxy that enforces connection reuse.\n"
    "Use it through your client's proxy setting, for example\n"
    "  HTTP_PROXY=http://{address} your-program"
)
_NOT_FOR_US: Final = (
    "This is a forward proxy: it wants the whole URL as the request target,\n"
    "as a client sends it through HTTP_PROXY. Nothing is forwarded by Host."
)


class ProxyHandler:
    """Handles every request on the proxy's listeners."""

    def __init__(
        self,
        session: "UpstreamSession",
        connect: "ConnectHandler",
        tunnels: "Tunnels",
        *,
        tasks: "TaskSet",
        max_request_body: int = 0,
        originate: "Sequence[TlsRoute]" = (),
    ) -> None:
        self._session = session
        self._connect = connect
        self._tunnels = tunnels
        self._origination = Origination(originate) if originate else None
        self._tasks = tasks
        self._max_request_body = max_request_body
        # The pseudonym names the kind, the comment this process (RFC 9110 section
        # 7.6.3), so that a loop through it is seen and two proxies in a row are not.
        self._via = b"%b (%b)" % (PSEUDONYM, secrets.token_hex(4).encode())
        self._via_http10 = b"1.0 " + self._via
        self._via_http11 = b"1.1 " + self._via

    async def __call__(self, request: "ClientRequest") -> Reply:
        """Answer one request; what is returned has been written already."""
        reply = Reply(request, self._via)
        try:
            if request.connection.writing_paused:
                # A client that pipelines and does not read waits for its turn.
                await reply.room()
            _check_version(request.message.version)
            if request.method == "CONNECT":
                await self._connect(request, reply)
                return reply
            forwarded = self._read(request, reply)
            if forwarded is not None:
                await self._exchange(request, forwarded, reply)
        except ProxyError as error:
            with contextlib.suppress(ClientGoneError):
                self._fail(request, reply, error)
        except ClientGoneError:
            reply.persistent = False
        return reply

    def _fail(self, request: "ClientRequest", reply: Reply, error: ProxyError) -> None:
        if reply.status_sent:
            reply.truncate()
        else:
            unread = not request.content.is_eof()
            malformed = isinstance(error, RequestError)
            # RFC 9110 section 9.3.6: what follows a refused CONNECT is not for us.
            refused = request.method == "CONNECT"
            if refused:  # most clients tell the status alone
                request.connection.server.log_limited(
                    logging.INFO, "refused CONNECT with %d: %s", error.status, error
                )
            reply.send_error(error, close=unread or malformed or refused)

    # Rules...

    def _read(self, request: "ClientRequest", reply: Reply) -> ForwardRequest | None:
        """Apply the rules to a request; None if we have answered it ourselves."""
        message, method = request.message, request.method
        raw_target = message.path.encode("utf-8", "surrogateescape")
        intercepted = request.connection.intercepted
        if intercepted is not None:
            fields = read_request_fields(message.raw_headers, traced=method in _TRACED)
            target = target_inside(intercepted.origin, raw_target, fields.host, method)
        elif raw_target[:1] == b"/" or raw_target == b"*":
            self._answer(request, raw_target, reply)
            return None
        else:
            target = parse_absolute(raw_target, method=method)
            if self._origination is not None:
                target = self._origination.apply(target)
            fields = read_request_fields(message.raw_headers, traced=method in _TRACED)
        if fields.max_forwards == 0:
            self._answer_last(method, reply)
            return None
        if fields.via:
            self._refuse_loop(fields.via)
        return self._forward(request, target, fields)

    def _forward(
        self, request: "ClientRequest", target: "ProxyTarget", fields: "RequestFields"
    ) -> ForwardRequest:
        framing, body = _NONE, None
        if fields.length or fields.coding:
            framing, body = self._body(request, fields)
        if request.http10:
            fields.expect_continue = False
            via = self._via_http10
        else:
            via = self._via_http11
        forwarded = ForwardRequest(
            request.method, target, fields, via=via, framing=framing, body=body
        )
        if (
            fields.upgrade
            and body is None
            and not request.http10
            and request.connection.may_switch
        ):
            forwarded.upgrade = fields.protocols
        return forwarded

    def _refuse_loop(self, lines: "Sequence[bytes]") -> None:
        if any(self._via in via for via in lines):
            raise ProxyError(
                "This request has come through this proxy before.",
                status=502,
                error="proxy_loop_detected",
            )

    def _body(
        self, request: "ClientRequest", fields: "RequestFields"
    ) -> tuple[Framing, ClientBody | None]:
        """Decide how a request's body is framed, and whether there is one."""
        framing, length = fields.framing(http10=request.http10)
        most = self._max_request_body
        if most and max(length, request.content.total_bytes) > most:
            raise body_too_large(most)
        if framing is _NONE:
            return framing, None
        return framing, ClientBody(request, most=most)

    def _answer(self, request: "ClientRequest", target: bytes, reply: Reply) -> None:
        """Answer a request that is for the proxy itself, never forward it."""
        if target == b"*":
            reply.send_text(204, "")
        elif target == b"/" and request.method in ("GET", "HEAD"):
            sockname = request.connection.sockname
            address = _spelled(sockname)
            reply.send_error(RequestError(_WHAT_THIS_IS.format(address=address)))
        else:
            reply.send_error(RequestError(_NOT_FOR_US))

    def _answer_last(self, method: str, reply: Reply) -> None:
        """Answer TRACE or OPTIONS with Max-Forwards: 0 (RFC 9110 section 7.6.2)."""
        if method == "OPTIONS":
            reply.send_text(204, "")
        else:
            reply.send_error(
                RequestError("This proxy does not answer TRACE itself.", status=405)
            )

    # Exchange...

    async def _exchange(
        self, request: "ClientRequest", forwarded: ForwardRequest, reply: Reply
    ) -> None:
        connection = request.connection
        visit, caller = connection.caller.visit, forwarded.fields.caller
        if visit is None or caller is not None:
            visit = connection.server.callers.visit(request, caller)
        visit.requests += 1
        exchange = Exchange(
            self._session, forwarded, tasks=self._tasks, client=connection
        )
        connection.exchange = exchange
        connection.takes = 0
        try:
            with exchange:
                await self._respond(exchange, reply, visit)
        except (asyncio.CancelledError, ClientGoneError) as left:
            if connection.left or isinstance(left, ClientGoneError):
                visit.aborted(exchange.phase)
            raise
        finally:
            connection.exchange = None
            closing = request.message.should_close and not request.http10
            visit.note(exchange, connection, closing=closing)

    async def _respond(self, exchange: Exchange, reply: Reply, visit: "Visit") -> None:
        head = await exchange.start()
        while head.interim:
            reply.send_interim(head)
            head = await exchange.next_head()
        if head.status == 101:
            # It is a tunnel now, once the client has been told (A60).
            switched, told = exchange.detach(), reply.switch_head(head)
            visit.over = True
            await self._tunnels.carry(switched, reply, 101, told)
            return
        body = exchange.take_body()
        complete = exchange.complete
        if not exchange.request_complete:
            # An early answer: the rest of the request body is no request.
            reply.persistent = False
        reply.send_head(head, body, complete=complete)
        if not complete:
            await self._relay(exchange, reply)

    async def _relay(self, exchange: Exchange, reply: Reply) -> None:
        """Copy a body to the client, no faster than it may be held for it."""
        complete = False
        while not complete:
            await reply.room()
            body = await exchange.read_body()
            complete = exchange.complete
            reply.send_body(body, complete=complete)


def _spelled(sockname: object) -> str:
    return (
        str(Address(*sockname[:2])) if isinstance(sockname, tuple) else "127.0.0.1:4128"
    )


def _check_version(version: object) -> None:
    if version is not HttpVersion11 and version not in _VERSIONS:
        raise RequestError("Only HTTP/1.0 and HTTP/1.1 are spoken here.", status=505)
