"""Clients that do not take their response, and what the bytes held for them cost.

Bytes that the kernel does not accept wait in the client's transport: the spool.  A
client is watched while it has any.  Progress is what its kernel has acknowledged,
not what our socket buffer has swallowed: that may be megabytes at a time.
"""

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from reuse_proxy.downstream.sockets import unacknowledged

if TYPE_CHECKING:
    from reuse_proxy.downstream.client import ClientConnection
    from reuse_proxy.upstream.books import OriginPool

_TICK_S: Final = 0.025
# While somebody waits for a connection of the same origin (design D8).
_CONTENDED_S: Final = 1.0
# For this long after a client of an origin has been reset by that rule, ...
_SUSPICIOUS_S: Final = 5.0
# ... others that have read nothing since their spool filled are so much sooner:
# sixty of them in a queue would otherwise stop the origin for a minute.
_NEVER_READ_S: Final = 0.09
# Until then the client's kernel fills its own buffer, with a delayed ACK of 40 ms.
_SETTLED_S: Final = 0.06


class Spool(NamedTuple):
    """What may be held for clients that do not read.

    Args:
        per_response: bytes for one of them.
        total: bytes for all.
        stall_timeout: seconds for which one may take nothing.
    """

    per_response: int
    total: int
    stall_timeout: float


class StallWatch:
    """Watches the clients that have a spool, and resets those that stall."""

    def __init__(
        self,
        limits: Spool,
        *,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.limits = limits
        self._loop = loop
        self._clients: dict[ClientConnection, Stall] = {}
        self._ticker: asyncio.TimerHandle | None = None
        self._suspicious: dict[OriginPool, float] = {}
        self.spooled = 0
        self.stalls = 0

    def add(self, client: "ClientConnection") -> None:
        """Start watching: the kernel takes no more for this client."""
        self._clients[client] = Stall(client, self._loop.time())
        if self._ticker is None:
            self._ticker = self._loop.call_later(_TICK_S, self._tick)

    def discard(self, client: "ClientConnection") -> None:
        """Stop watching: everything has been handed to the kernel, or it is gone."""
        stall = self._clients.pop(client, None)
        if stall is not None:
            self.spooled -= stall.spooled
            stall.note_taken(self._loop.time())

    def may_hold_more(self, client: "ClientConnection") -> bool:
        """Tell whether more of a response may be spooled for this client."""
        stall = self._clients.get(client)
        if stall is None:
            return True
        self.spooled += stall.update_spool()
        limits = self.limits
        return stall.spooled < limits.per_response and self.spooled < limits.total

    def is_suspicious(self, pool: "OriginPool") -> bool:
        """Tell whether a client of this origin has lately been reset for others."""
        return pool in self._suspicious

    def close(self) -> None:
        """Stop ticking."""
        if self._ticker is not None:
            self._ticker.cancel()

    def _tick(self) -> None:
        self._ticker = None
        now = self._loop.time()
        self._suspicious = {
            pool: until for pool, until in self._suspicious.items() if now < until
        }
        stalled: list[tuple[float, Stall]] = []
        for stall in self._clients.values():
            self.spooled += stall.update_spool()
            stall.update_progress(now)
            if now - stall.since >= _NEVER_READ_S:
                stalled.append((stall.since, stall))
        stalled.sort(key=lambda pair: pair[0])
        self._reset([stall for _, stall in stalled], now)
        if self._clients or self._suspicious:
            self._ticker = self._loop.call_later(_TICK_S, self._tick)

    def _reset(self, stalled: "list[Stall]", now: float) -> None:
        """Reset those that have stalled for too long, for each waiter at most one."""
        evicted: dict[OriginPool, int] = {}
        for stall in stalled:
            pool = stall.client.held_pool
            waiting = len(pool.waiters) if pool is not None else 0
            if now - stall.since < self._limit(stall, pool):
                continue
            if pool is not None and waiting:
                if evicted.get(pool, 0) >= waiting:
                    continue
                evicted[pool] = evicted.get(pool, 0) + 1
                self._suspicious[pool] = now + _SUSPICIOUS_S
            self.stalls += 1
            if stall.client.caller.visit is not None:
                stall.client.caller.visit.stalled()
            stall.client.reset()

    def _limit(self, stall: "Stall", pool: "OriginPool | None") -> float:
        """Return for how long this client may make no progress, in seconds."""
        if pool is None or not pool.waiters:
            return self.limits.stall_timeout
        if self.is_suspicious(pool) and not stall.reads:
            return min(_NEVER_READ_S, self.limits.stall_timeout)
        return min(_CONTENDED_S, self.limits.stall_timeout)

    def __len__(self) -> int:
        return len(self._clients)

    def __repr__(self) -> str:
        return f"<StallWatch {len(self._clients)} clients, {self.spooled} bytes>"


class Stall:
    """One client's spool and progress."""

    __slots__ = ("_acknowledged", "_started", "client", "since", "spooled")

    def __init__(self, client: "ClientConnection", now: float) -> None:
        self.client = client
        self.since = self._started = now
        self.spooled = 0
        self._acknowledged = (
            client.written - client.buffered - unacknowledged(client.fileno())
        )

    def update_spool(self) -> int:
        """Measure the spool again; return by how much it has grown, in bytes."""
        before, self.spooled = self.spooled, self.client.buffered
        return self.spooled - before

    def update_progress(self, now: float) -> None:
        """Note whether the client has taken bytes since the last look."""
        acknowledged = (
            self.client.written - self.spooled - unacknowledged(self.client.fileno())
        )
        if acknowledged > self._acknowledged:
            self.note_taken(now)
        self._acknowledged = acknowledged

    @property
    def reads(self) -> bool:
        """Whether the client has been seen to read the response that it gets."""
        return self.client.takes > 1

    def note_taken(self, now: float) -> None:
        """Note that the client has taken bytes, unless that is its kernel's doing."""
        if now - self._started > _SETTLED_S:
            self.client.takes += 1
            self.since = now
