"""The access log: a line for each request at its end, in the words of the metrics.

Nothing here is called while the log is off.
"""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from reuse_proxy.downstream.entry import Entry
from reuse_proxy.downstream.reply import ClientGoneError
from reuse_proxy.errors import ProxyError, RequestError, status_of
from reuse_proxy.forward.phase import Phase
from reuse_proxy.http.target import (
    PARENT,
    parse_absolute,
    parse_connect,
    target_inside,
)
from reuse_proxy.http.traces import trace_id_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from reuse_proxy.downstream.client import ClientConnection
    from reuse_proxy.downstream.reply import Reply
    from reuse_proxy.downstream.request import ClientRequest
    from reuse_proxy.forward import Exchange
    from reuse_proxy.http.target import Origin
    from reuse_proxy.ledger.visit import Visit
    from reuse_proxy.lines import Lines
    from reuse_proxy.upstream.connection import UpstreamConnection

# The client's transport is no longer its own then: a cancellation is our doing.
_GIVEN_AWAY: Final = ("tunnel", "intercept")
_STOPPED: Final = "shutdown"
_STALLED: Final = "stalled"
_OURS: Final = ProxyError.error


class Served:
    """How a request has been served, as far as a line tells.

    Attributes:
        origin: whose resource it is, as metrics label it; ``path`` is which one.
        started: when this began, in seconds of the loop; None if it was refused.
        queued: for how many seconds it has waited for a connection.
        miss: why it needed a new one; ``connect`` is how many seconds that took.
        phase: how far it has come.
        via: what kind of connection it was given.
        status: the origin's.
        result: what came of TLS with a client whose CONNECT we have opened.
        visit: the client's page in the ledger.
    """

    __slots__ = (
        "connect",
        "miss",
        "origin",
        "path",
        "phase",
        "queued",
        "result",
        "started",
        "status",
        "via",
        "visit",
    )

    def __init__(
        self, origin: "Origin | None" = None, *, started: float | None = None
    ) -> None:
        self.origin = origin
        self.path: bytes | None = None
        self.started = started
        self.queued = 0.0
        self.connect: float | None = None
        self.miss: str | None = None
        self.phase: str = Phase.QUEUE
        self.via = "none"
        self.status = 0
        self.result: str | None = None
        self.visit: Visit | None = None

    def tunnelled(self, connection: "UpstreamConnection") -> None:
        """Note the connection that is to become a tunnel."""
        self.via, self.phase = "tunnel", Phase.HEAD
        self.connect = connection.connect_seconds

    def intercepted(self, origin: "Origin") -> None:
        """Note that a CONNECT has been opened with the local CA."""
        self.via, self.origin = "intercept", origin._replace(scheme="https")


def _of_exchange(exchange: "Exchange") -> Served:
    target = exchange.request.target
    if target.origin.scheme == PARENT:  # which is asked with the whole URL
        target = parse_absolute(target.path, exchange.request.method)
    served = Served(target.origin, started=exchange.started)
    served.path = target.path
    served.phase, served.status = exchange.phase, exchange.status
    served.queued = exchange.queued
    if exchange.origin_pool is not None:
        served.via = "reused"
        if not exchange.reused:
            served.via, served.miss = "new", exchange.miss or "queued"
            served.connect = exchange.connect_seconds
        if exchange.detached:
            served.via, served.miss = "tunnel", None
    return served


def _refused(client: "ClientConnection", request: "ClientRequest") -> Served:
    """Tell what a request was about that was refused, as far as it can be read."""
    target, method = request.target, request.method
    served = Served()
    try:
        if method == "CONNECT":
            served.origin = parse_connect(target)
        elif client.intercepted is not None:
            inside = target_inside(client.intercepted.origin, target, None, method)
            served.origin, _, served.path = inside
        elif target[:1] == b"/" or target == b"*":
            served.path = target
        else:
            served.origin, _, served.path = parse_absolute(target, method)
    except RequestError:
        pass  # with a user name and password in it, for one
    return served


class Ending(NamedTuple):
    """How a request has ended: the status, an error's word, and where it was left."""

    status: int
    error: str | None = None
    aborted: str | None = None


def _ending(served: Served, error: BaseException | None, reply: "Reply") -> Ending:
    sent = reply.status_sent
    status = sent or served.status or status_of(error)
    if isinstance(error, ProxyError):
        return Ending(status, error.error)
    if isinstance(error, ClientGoneError | asyncio.CancelledError):
        ours = not isinstance(error, ClientGoneError)
        if ours or (sent and served.via in _GIVEN_AWAY):
            return Ending(status, aborted=_STOPPED)
        stalled = served.visit is not None and served.visit.over
        return Ending(status, aborted=_STALLED if stalled else served.phase)
    if error is not None:
        return Ending(status, _OURS)
    # Requests for the proxy itself are answered so, which is no exception.
    own = served.started is None and status >= 400
    return Ending(status, RequestError.error if own else served.result)


class AccessLog:
    """Composes lines and hands them on.

    Args:
        lines: where they go.
        style: ``text`` or ``json``.
        paths: whether a request's path is told, with its query.
        clock: the loop's, in seconds.
    """

    def __init__(
        self, lines: "Lines", *, style: str, paths: bool, clock: "Callable[[], float]"
    ) -> None:
        self._lines = lines
        self.json = style == "json"
        self.paths = paths
        self.clock = clock

    def write(self, entry: Entry) -> None:
        """Hand a line on."""
        self._lines.write(entry.as_json() if self.json else entry.as_text())

    def __repr__(self) -> str:
        return f"<AccessLog {self._lines!r}>"


class ClientLog:
    """What the log remembers of one client connection.

    Attributes:
        log: where its lines go.
        opening: the CONNECT that is being served.
    """

    __slots__ = ("_received", "_told", "_written", "log", "opening")

    def __init__(self, log: AccessLog, client: "ClientConnection") -> None:
        self.log = log
        # How many bytes of it earlier lines have told of.
        self._written, self._received = client.written, client.received
        self._told: Reply | None = None
        self.opening: Served | None = None

    def ended(
        self,
        client: "ClientConnection",
        exchange: "Exchange | None",
        error: BaseException | None,
        visit: "Visit | None",
    ) -> None:
        """Log a client's current request, once: it is over, and has been answered.

        Args:
            client: who has asked.
            exchange: what the request had become, if it had come so far.
            error: why it did not go well.
            visit: the client's page in the ledger.
        """
        reply, request = client.reply, client.request
        if request is None or reply is self._told:
            return
        self._told = reply
        served, self.opening = self.opening, None
        if exchange is not None:
            served = _of_exchange(exchange)
        elif served is None:
            served = _refused(client, request)
        served.visit = visit or served.visit
        self._write(client, request, served, _ending(served, error, reply))

    def refused(self, client: "ClientConnection", error: ProxyError) -> None:
        """Log what a client was told outside of any request."""
        served = Served()
        served.visit = client.caller.visit
        self._write(client, None, served, Ending(error.status, error.error))

    def _write(
        self,
        client: "ClientConnection",
        request: "ClientRequest | None",
        served: Served,
        ending: Ending,
    ) -> None:
        log, asked = self.log, served.started is not None
        trace_id = None
        if log.json and request is not None:
            trace_id = trace_id_of(request.raw_fields)
        entry = Entry(
            time=_now(),
            client=client.server.callers.name(client, request, served.visit),
            method=None if request is None else request.method,
            origin=None if served.origin is None else str(served.origin),
            path=_path(served) if log.paths else None,
            status=ending.status,
            bytes=client.written - self._written,
            received=client.received - self._received,
            via=served.via,
            why_not_reused=served.miss,
            queue=round(served.queued, 6) if asked else None,
            connect=None if served.connect is None else round(served.connect, 6),
            total=_seconds(served, log.clock()),
            error=ending.error,
            aborted=ending.aborted,
            trace_id=trace_id,
        )
        self._written, self._received = client.written, client.received
        log.write(entry)


def _now() -> str:
    """Return the time of RFC 3339, in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _path(served: Served) -> str | None:
    # Byte for byte, as every target is ASCII.
    return None if served.path is None else served.path.decode("latin-1")


def _seconds(served: Served, now: float) -> float | None:
    return None if served.started is None else round(now - served.started, 6)
