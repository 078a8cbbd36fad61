"""The one handler: rules, exchange, reply.

A request goes from :meth:`ProxyHandler.begin` to :meth:`ProxyHandler.arrived` without a
task where a connection is ready and the response comes in one piece; from whichever
point on that is not so, a task carries it.  Either way it ends in one function.

Every error of ours becomes a response here, and nowhere else while a request is
being handled.
"""

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from reuse_proxy.downstream.refusals import internal_error
from reuse_proxy.downstream.reply import ClientGoneError, Reply, last_response
from reuse_proxy.downstream.rules import Rules, check_version
from reuse_proxy.errors import ProxyError, RequestError
from reuse_proxy.forward import Exchange

if TYPE_CHECKING:
    from reuse_proxy.downstream.client import ClientConnection
    from reuse_proxy.downstream.connect import ConnectHandler
    from reuse_proxy.downstream.request import ClientRequest
    from reuse_proxy.downstream.tunnel import Tunnels
    from reuse_proxy.ledger.visit import Visit
    from reuse_proxy.tasks import TaskSet
    from reuse_proxy.upstream.session import UpstreamSession


class ProxyHandler:
    """Handles every request on the proxy's listeners."""

    def __init__(
        self,
        session: "UpstreamSession",
        connect: "ConnectHandler",
        tunnels: "Tunnels",
        *,
        tasks: "TaskSet",
        rules: Rules,
    ) -> None:
        self._session = session
        self.outbox = session.outbox
        self.connect = connect
        self._tunnels = tunnels
        self._tasks = tasks
        self.rules = rules

    # Serve...

    def begin(self, request: "ClientRequest") -> None:
        """Answer a request, send it on, or have a task do so; it ends in ``done``."""
        client = request.connection
        reply = client.reply = Reply(request, self.rules.via)
        failure: Exception | None = None
        try:
            if client.writing_paused or request.method == "CONNECT":
                client.run(self._begin_later(request, reply))
                return
            exchange = self._open(request, reply)
            if exchange is not None:
                if not exchange.try_send(client):
                    client.run(self._carry(client, exchange))
                return
        except Exception as error:  # noqa: BLE001 - the last resort
            failure = error
        self._end(client, failure)
        client.done()

    def arrived(self, client: "ClientConnection") -> None:
        """Pass a response on that has come in one piece, or have a task do the rest."""
        exchange, request = client.exchange, client.request
        if exchange is None or request is None:
            return
        error: Exception | None = None
        try:
            whole = exchange.whole_response()
            if whole is None:
                client.run(self._carry(client, exchange))
                return
            client.reply.send_head(*whole)
        except Exception as exc:  # noqa: BLE001 - the last resort
            error = exc
        self._end(client, error)
        client.done()

    def abandon(self, client: "ClientConnection", visit: "Visit | None") -> None:
        """End what no task carries: the client is gone, or is being closed."""
        self._end(client, _why_cancelled(client), visit)

    async def _begin_later(self, request: "ClientRequest", reply: Reply) -> None:
        client, exchange = request.connection, None
        failure: Exception | None = None
        try:
            # A client that pipelines and does not read waits for its turn.
            await reply.room()
            if request.method == "CONNECT":
                check_version(request)
                await self.connect(request, reply)
            else:
                exchange = self._open(request, reply)
        except asyncio.CancelledError:
            self._end(client, _why_cancelled(client))
            raise
        except Exception as error:  # noqa: BLE001 - the last resort
            failure = error
        if exchange is not None:
            await self._carry(client, exchange)
        else:
            self._end(client, failure)

    # Errors of ours...

    def refuse(self, client: "ClientConnection", error: ProxyError) -> None:
        """Answer a client outside of any request; its connection is closed then."""
        with contextlib.suppress(ClientGoneError):
            client.write(last_response(error))
        if client.log is not None:
            client.log.refused(client, error)

    def _answer_error(
        self, request: "ClientRequest", reply: Reply, error: BaseException
    ) -> None:
        """Answer what went wrong, as far as it can be told to the client still."""
        client = request.connection
        if isinstance(error, ClientGoneError | asyncio.CancelledError):
            reply.persistent = False
        elif isinstance(error, ProxyError):
            with contextlib.suppress(ClientGoneError):
                self._fail(request, reply, error)
        else:
            client.server.log_limited(logging.ERROR, "an error of our own", error=error)
            reply.persistent = False
            if reply.status_sent:
                client.reset()  # it must not be taken for the rest of the response
            else:
                with contextlib.suppress(ClientGoneError):
                    reply.send_error(internal_error(), close=True)

    def _fail(self, request: "ClientRequest", reply: Reply, error: ProxyError) -> None:
        if reply.status_sent:
            reply.truncate()
        else:
            unread = not request.complete
            malformed = isinstance(error, RequestError)
            # RFC 9110 section 9.3.6: what follows a refused CONNECT is not for us.
            refused = request.method == "CONNECT"
            if refused:  # most clients tell the status alone
                request.connection.server.log_limited(
                    logging.INFO, "refused CONNECT with %d: %s", error.status, error
                )
            reply.send_error(error, close=unread or malformed or refused)

    # Rules...

    def _open(self, request: "ClientRequest", reply: Reply) -> Exchange | None:
        """Apply the rules and begin an exchange; None if we have answered ourselves.

        Raises:
            RequestError: the request breaks a rule.
        """
        forwarded = self.rules.apply(request, reply)
        if forwarded is None:
            return None
        client = request.connection
        visit, caller = client.caller.visit, forwarded.fields.caller
        if visit is None or caller is not None:
            visit = client.server.callers.visit(request, caller)
        visit.requests += 1
        exchange = Exchange(self._session, forwarded, self._tasks, client)
        client.exchange = exchange
        client.takes = 0
        self.outbox.begin()
        return exchange

    # Exchange...

    async def _carry(self, client: "ClientConnection", exchange: Exchange) -> None:
        """Wait for whatever an exchange has to wait for, to its end."""
        reply, visit = client.reply, client.caller.visit
        failure: Exception | None = None
        try:
            await self._respond(exchange, reply, visit)
        except asyncio.CancelledError:
            self._end(client, _why_cancelled(client), visit)
            raise
        except Exception as error:  # noqa: BLE001 - the last resort
            failure = error
        self._end(client, failure, visit)

    def _end(
        self,
        client: "ClientConnection",
        error: BaseException | None,
        visit: "Visit | None" = None,
    ) -> None:
        """End a request, however it went: settled, counted, answered, and logged."""
        exchange, request = client.exchange, client.request
        visit = visit or client.caller.visit
        if exchange is not None:
            client.exchange = None
            self._settle(client, exchange, error, visit)
        if error is not None and request is not None:
            self._answer_error(request, client.reply, error)
        if client.log is not None:
            client.log.ended(client, exchange, error, visit)

    def _settle(
        self,
        client: "ClientConnection",
        exchange: Exchange,
        error: BaseException | None,
        visit: "Visit | None",
    ) -> None:
        """End an exchange, and note it in the ledger."""
        phase = exchange.phase
        if not exchange.detached:
            self.outbox.end()
        exchange.end(error)
        if visit is not None:
            if isinstance(error, ClientGoneError):
                visit.aborted(phase)
            request = client.request
            closing = (
                request is not None and request.asked_to_close and not request.http10
            )
            visit.note(exchange, client, closing)

    async def _respond(
        self, exchange: Exchange, reply: Reply, visit: "Visit | None"
    ) -> None:
        head = await exchange.start()
        while head.interim:
            reply.send_interim(head)
            head = await exchange.next_head()
        if head.status == 101:
            # It is a tunnel now, once the client has been told (A60).
            switched, told = exchange.detach(), reply.switch_head(head)
            self.outbox.end()
            if visit is not None:
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


def _why_cancelled(client: "ClientConnection") -> BaseException:
    """Tell a client that has gone from one that we are closing."""
    if client.left:
        return ClientGoneError("the client has gone")
    return asyncio.CancelledError()
