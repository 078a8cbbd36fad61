"""What is counted for one client: plain integers, and the processes seen behind it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

_MAX_PROCESSES: Final = 5
_MAX_TUNNEL_ORIGINS: Final = 8
_MAX_CLOSED: Final = 1000
# For so long a connection can be counted on to stay open: half of the common limits.
KEPT_S: Final = 30.0
_SUMS: Final = (
    "requests",
    "connections",
    "open",
    "needless",
    "close_requests",
    "stalls",
    "unread",
    "tunnels",
    "short_tunnels",
    "upstream_opened",
    "upstream_reused",
    "received",
    "sent",
    "saved",
    "saved_seconds",
)


class Account:
    """One client's account.

    Attributes:
        label: its name in metrics, or ``other``.
        requests: requests that were forwarded, or were to be.
        connections: connections that it has opened to us.
        open: those of them that are open.
        needless: those that it opened although it had just closed another one that
            it could have used again, or left one idle.
        close_requests: requests with ``Connection: close``.
        stalls: connections that were reset because the client did not read.
        unread: responses sent in full that the client closed without having read.
        aborts: exchanges that it left, by phase: queue, head, body.
        tunnels: what CONNECT opened; ``short_tunnels`` ended within seconds.
        upstream_opened: upstream connections that its requests were the first to use.
        upstream_reused: its requests that went out on one that had carried others.
        misses: why its requests needed a new one.
        received: bytes that came from it.
        sent: bytes that went to it.
        saved: connections that pooling saved, an estimate that never falls;
            ``saved_seconds`` of dialling.
        opened_at: when it opened its newest connection, in seconds of the loop.
        closed: usable connections that it has closed and not replaced, the newest at
            ``closed_at``.
        processes: command and process id of some of those that were seen.
    """

    __slots__ = (
        *_SUMS,
        "aborts",
        "closed",
        "closed_at",
        "label",
        "misses",
        "name",
        "opened_at",
        "processes",
        "product",
        "tunnel_origins",
    )
    requests: int
    connections: int
    open: int
    needless: int
    close_requests: int
    stalls: int
    unread: int
    tunnels: int
    short_tunnels: int
    upstream_opened: int
    upstream_reused: int
    received: int
    sent: int
    saved: int
    saved_seconds: float

    def __init__(self, name: str, *, product: str, label: str) -> None:
        self.name = name
        self.product = product
        self.label = label
        for counted in _SUMS:
            setattr(self, counted, 0)
        self.aborts: Counter[str] = Counter()
        self.misses: Counter[str] = Counter()
        self.opened_at = self.closed_at = float("-inf")
        self.closed = 0
        self.processes: dict[str, int] = {}
        # Where its tunnels went: how many, and how many of those were short.
        self.tunnel_origins: dict[str, tuple[int, int]] = {}

    @property
    def requests_per_connection(self) -> float | None:
        """How many requests a connection carried on average; None without any."""
        return self.requests / self.connections if self.connections else None

    def opened(self, now: float) -> None:
        """Count a connection; it is needless if a usable one was closed just before."""
        self.connections += 1
        self.open += 1
        self.opened_at = now
        if now - self.closed_at > KEPT_S:
            self.closed = 0
        elif self.closed:
            self.closed -= 1
            self.needless += 1

    def gave_up(self, now: float) -> None:
        """Note that the client has closed a connection that it could have used again."""
        self.closed = min(self.closed, _MAX_CLOSED) + 1
        self.closed_at = now

    def note_process(self, pid: int, command: str) -> None:
        """Remember a process behind this client; the first few commands are kept."""
        if command in self.processes or len(self.processes) < _MAX_PROCESSES:
            self.processes[command] = pid

    def note_tunnel(self, origin: str, *, short: bool) -> None:
        """Count a tunnel; remember where it went, for the first few origins."""
        self.tunnels += 1
        self.short_tunnels += short
        known = self.tunnel_origins
        if origin in known or len(known) < _MAX_TUNNEL_ORIGINS:
            tunnels, brief = known.get(origin, (0, 0))
            known[origin] = tunnels + 1, brief + short

    def absorb(self, other: "Account") -> None:
        """Add another account to this one, so that no sum ever falls."""
        for counted in _SUMS:
            setattr(self, counted, getattr(self, counted) + getattr(other, counted))
        self.aborts.update(other.aborts)
        self.misses.update(other.misses)
        self.opened_at = max(self.opened_at, other.opened_at)

    def plain(self) -> dict[str, Any]:
        """Return what adds up, as JSON has it; :meth:`add_plain` reads it."""
        return {
            "name": self.name,
            "product": self.product,
            "label": self.label,
            "sums": {counted: getattr(self, counted) for counted in _SUMS},
            "aborts": self.aborts,
            "misses": self.misses,
            "processes": self.processes,
            "tunnel_origins": self.tunnel_origins,
        }

    def add_plain(self, plain: Mapping[str, Any]) -> None:
        """Add what another process has counted for the same client."""
        for counted, number in plain["sums"].items():
            setattr(self, counted, getattr(self, counted) + number)
        self.aborts.update(plain["aborts"])
        self.misses.update(plain["misses"])
        for command, pid in plain["processes"].items():
            self.note_process(pid, command)
        known = self.tunnel_origins
        for origin, (tunnels, brief) in plain["tunnel_origins"].items():
            if origin in known or len(known) < _MAX_TUNNEL_ORIGINS:
                before, brief_before = known.get(origin, (0, 0))
                known[origin] = before + tunnels, brief_before + brief

    def __repr__(self) -> str:
        return (
            f"<Account {self.name!r} requests={self.requests} "
            f"connections={self.connections} open={self.open}>"
        )
