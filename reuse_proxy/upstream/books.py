"""What the pool keeps books of: connections, waiters, origins; and what it decides.

Plain data, without a rule: the rules are in ``pool``.  Times are in seconds of the
loop's clock.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reuse_proxy.http.target import Origin
    from reuse_proxy.upstream.stats import OriginStats


class State(StrEnum):
    """Where a connection is in its life.

    A private one waits for the next request of the one client that it belongs to; one
    that has become a tunnel carries bytes of which we know nothing.
    """

    CONNECTING = "connecting"
    ACTIVE = "active"
    IDLE = "idle"
    DRAINING = "draining"
    PRIVATE = "private"
    TUNNEL = "tunnel"
    CLOSED = "closed"


class CloseReason(StrEnum):
    """Why a connection was discarded; a label, so the list stays short."""

    SERVER_CLOSE = "server_close"
    EXPIRED_IDLE = "expired_idle"
    EXPIRED_AGE = "expired_age"
    STALE = "stale"
    UNSOLICITED = "unsolicited"
    EVICTED = "evicted"
    ABORTED = "aborted"
    DRAIN_REFUSED = "drain_refused"
    TRUNCATED = "truncated"
    PROTOCOL_ERROR = "protocol_error"
    TIMEOUT = "timeout"
    DNS_CHANGE = "dns_change"
    POLICY = "policy"
    RELOAD = "reload"
    CLIENT_LEFT = "client_left"
    TUNNEL_END = "tunnel_end"
    SHUTDOWN = "shutdown"


class Miss(StrEnum):
    """Why a request could not be given an idle connection."""

    FIRST = "first"
    BUSY = "busy"
    UNSAFE_METHOD = "unsafe_method"
    TUNNEL = "tunnel"


class Poolable(Protocol):
    """What the pool needs to know of a connection.

    ``capacity`` is how many leases it can carry at once (1 for HTTP/1.1), times are
    of the loop's clock.
    """

    capacity: int
    leases: int
    state: State
    idle_since: float
    expires_at: float
    retire: CloseReason | None
    pool: "OriginPool"

    @property
    def idle_limit(self) -> float:
        """What the origin itself announced, in seconds."""


class Waiter:
    """A request's place in the queue of an origin.

    ``max_idle`` is how long a connection may have been idle to serve it, in seconds;
    ``wake`` is called once it holds a connection or an error.
    """

    __slots__ = ("connection", "error", "max_idle", "pool", "since", "wake")

    def __init__(
        self,
        pool: "OriginPool",
        *,
        since: float,
        max_idle: float,
        wake: "Callable[[], None]",
    ) -> None:
        self.pool = pool
        self.wake = wake
        self.since = since
        self.max_idle = max_idle
        self.connection: Poolable | None = None
        self.error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """Discard this connection; it has left the books as an open one already."""

    connection: Poolable
    reason: CloseReason


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a connection to this origin; it is in the books already."""

    pool: "OriginPool"


@dataclass(frozen=True, slots=True)
class Grant:
    """Wake this waiter: it holds a connection now, or an error."""

    waiter: Waiter


@dataclass(frozen=True, slots=True)
class Recheck:
    """Call :meth:`Pool.assign` again at this time: a dial is being patient."""

    pool: "OriginPool"
    at: float


Action = Close | Dial | Grant | Recheck


class OriginPool:
    """The books of one origin."""

    __slots__ = (
        "active",
        "closing",
        "connect_seconds",
        "dial_at",
        "dialing",
        "draining",
        "failed_at",
        "failures",
        "idle",
        "last_close",
        "last_failure",
        "learned_at",
        "learned_idle_limit",
        "origin",
        "private",
        "recheck_at",
        "renewed_at",
        "stats",
        "tunnels",
        "used_at",
        "waiters",
    )

    def __init__(self, origin: "Origin", stats: "OriginStats") -> None:
        self.origin = origin
        self.stats = stats
        self.idle: list[Poolable] = []
        self.active: set[Poolable] = set()
        self.draining: set[Poolable] = set()
        self.private: set[Poolable] = set()
        self.tunnels: set[Poolable] = set()
        self.waiters: deque[Waiter] = deque()
        self.dialing = 0
        self.closing = 0
        self.connect_seconds: float | None = None
        self.dial_at = 0.0
        self.recheck_at = 0.0
        self.renewed_at = 0.0
        self.used_at = 0.0
        self.learned_idle_limit = float("inf")
        self.learned_at = 0.0
        self.last_close: CloseReason | None = None
        # Why the last dial failed, in a sentence; empty if it did not.
        self.last_failure = ""
        # Dials in a row that failed, and when the last of them did.
        self.failures = 0
        self.failed_at = 0.0

    @property
    def open(self) -> int:
        """Established connections that carry requests."""
        return (
            len(self.idle) + len(self.active) + len(self.draining) + len(self.private)
        )

    @property
    def sockets(self) -> int:
        """Sockets under the origin's cap: open, being dialled, and being closed.

        Tunnels count under the global cap alone.
        """
        return self.open + self.dialing + self.closing

    def connections(self) -> "Iterator[Poolable]":
        """Yield every connection that is open, tunnels included."""
        yield from self.active
        yield from self.draining
        yield from self.private
        yield from self.tunnels
        yield from self.idle

    def states(self) -> dict[str, int]:
        """Count the sockets by state."""
        return {
            State.CONNECTING: self.dialing,
            State.ACTIVE: len(self.active),
            State.DRAINING: len(self.draining),
            State.PRIVATE: len(self.private),
            State.TUNNEL: len(self.tunnels),
            State.IDLE: len(self.idle),
        }

    def waiting(self, now: float) -> tuple[int, float]:
        """Return how many requests wait and for how long the oldest has, in seconds."""
        waiters = self.waiters
        return (len(waiters), now - waiters[0].since) if waiters else (0, 0.0)

    def __repr__(self) -> str:
        return (
            f"<OriginPool {self.origin} active={len(self.active)} "
            f"idle={len(self.idle)} draining={len(self.draining)} "
            f"dialing={self.dialing} closing={self.closing} "
            f"private={len(self.private)} tunnels={len(self.tunnels)} "
            f"waiting={len(self.waiters)}>"
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings that govern the pool; times in seconds.

    ``dial_patience`` is None for half of the measured connect time.
    """

    max_sockets: int = 512
    max_per_origin: int = 32
    max_queue: int = 1024
    queue_timeout: float = 10.0
    idle_timeout: float = 30.0
    max_lifetime: float = 600.0
    dial_patience: float | None = None
    breaker_failures: int = 5
    breaker_time: float = 5.0
