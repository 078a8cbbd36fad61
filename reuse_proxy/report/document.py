"""What a report says, as it is served at ``/api/v1/report``: plain JSON values.

Everything is counted since the proxy started.  Times are in seconds.
"""

from typing import Final, TypedDict

VERSION: Final = 1


class Process(TypedDict):
    """A process that was seen to own connections of a client; a sample, not a list."""

    pid: int
    command: str


class Fix(TypedDict):
    """What to change in a client's program.

    ``code`` is a few lines to copy, possibly none.
    """

    family: str
    summary: str
    steps: list[str]
    code: list[str]


class ClientEntry(TypedDict):
    """One client's account and the judgement of it.

    ``evidence`` is one sentence with numbers.  ``connections`` are what the client
    opened to us, ``upstream_opened`` and ``upstream_reused`` how its requests were
    served, ``misses`` why they needed a new connection, ``aborts`` in which phase it
    left, ``needless_connections`` those that reuse would have saved, ``bodies_unread`` how many whole responses it closed without reading.
    ``fix`` is None where nothing needs one.
    """

    client: str
    verdict: str
    evidence: str
    fix: Fix | None
    processes: list[Process]
    requests: int
    connections: int
    connections_open: int
    requests_per_connection: float | None
    needless_connections: int
    close_requests: int
    aborts: dict[str, int]
    stalls: int
    bodies_unread: int
    tunnels: int
    short_tunnels: int
    upstream_opened: int
    upstream_reused: int
    misses: dict[str, int]
    bytes_received: int
    bytes_sent: int
    estimated_connections_saved: int
    estimated_handshake_seconds_saved: float


class OriginEntry(TypedDict):
    """One origin: what it was asked and how many connections that took."""

    origin: str
    requests: int
    opened: int
    reused: int
    open: int
    tunnels: int
    connect_failures: int
    estimated_connections_saved: int
    estimated_handshake_seconds_saved: float


class TunnelEntry(TypedDict):
    """An origin that was reached through tunnels, and what would have pooled them.

    ``short`` are those that lasted less than five seconds.  ``origination`` and
    ``interception`` are settings to add, as flags.
    """

    origin: str
    tunnels: int
    short: int
    origination: str
    interception: str


class Totals(TypedDict):
    """Sums over all clients, and what the origins saw."""

    clients: int
    leaking: int
    requests: int
    client_connections: int
    upstream_opened: int
    upstream_reused: int
    tunnels: int
    estimated_connections_saved: int
    estimated_handshake_seconds_saved: float


class Report(TypedDict):
    """The whole report; clients are in order, the worst first."""

    version: int
    seconds: float
    summary: str
    totals: Totals
    clients: list[ClientEntry]
    origins: list[OriginEntry]
    tunnels: list[TunnelEntry]


# What `verdict` may be, the worst first; the last three are no leaks.
LEAKS: Final = (
    "never_reads",
    "abandons_body",
    "connection_per_request",
    "unpoolable_tunnels",
)
VERDICTS: Final = (*LEAKS, "ok", "too_little_data")
