"""The Prometheus collector: reads the session's and listener's numbers at scrape.

Every metric that reuse-proxy serves is named here, with its help text; nothing on
the request path knows of prometheus_client (design D11).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from reuse_proxy import __version__
from reuse_proxy.admin.clients import client_metrics
from reuse_proxy.admin.families import by_label, counter, gauge, histogram
from reuse_proxy.admin.kernel import socket_states
from reuse_proxy.admin.reloads import reload_metrics

if TYPE_CHECKING:
    from reuse_proxy.admin.sources import Sources


class ProxyCollector(Collector):
    """Reads plain integers and renders them; holds no state of its own."""

    def __init__(self, sources: "Sources") -> None:
        self._session = sources.session
        self._stall_watch = sources.stall_watch
        self._tunnels = sources.tunnels
        self._reporter = sources.reporter
        self._reloads = sources.reloads
        self._lines = sources.lines

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        yield from self._connections()
        yield from self._connection_totals()
        yield from self._connection_lives()
        yield from self._requests()
        yield from self._queue()
        yield from self._outcomes()
        yield from self._savings()
        yield gauge(
            "spooled_bytes",
            "Response bytes held for clients that read slowly",
            [],
            {(): self._stall_watch.spooled},
        )
        yield from client_metrics(self._reporter)
        yield from self._https()
        yield from reload_metrics(self._reloads)
        yield counter(
            "access_log_lines_dropped",
            "Lines of the access log that were lost: nobody took them in time",
            [],
            {(): 0 if self._lines is None else self._lines.dropped},
        )
        yield gauge(
            "build_info", "Version of reuse-proxy", ["version"], {(__version__,): 1}
        )

    def _connections(self) -> Iterator[Metric]:
        session = self._session
        yield gauge(
            "upstream_connections",
            "Sockets to origins by state",
            ["origin", "state"],
            session.states(),
        )
        limits = session.limits
        yield gauge(
            "upstream_connections_limit",
            "Hard caps on sockets to origins",
            ["scope"],
            {("global",): limits.max_sockets, ("origin",): limits.max_per_origin},
        )
        kernel = socket_states(
            connection.fileno() for connection in session.connections()
        )
        yield gauge(
            "kernel_sockets",
            "Sockets to origins by what the kernel says of each; must agree",
            ["state"],
            {(state,): count for state, count in kernel.items()},
        )

    def _connection_totals(self) -> Iterator[Metric]:
        origins = self._session.stats.origins.values()
        yield counter(
            "upstream_connections_opened",
            "Connections established to origins",
            ["origin"],
            {(origin.label,): origin.opened for origin in origins},
        )
        yield counter(
            "upstream_connections_reused",
            "Requests sent on a connection that had carried others",
            ["origin"],
            {(origin.label,): origin.reused for origin in origins},
        )
        yield counter(
            "upstream_connections_closed",
            "Connections to origins closed, and why",
            ["origin", "reason"],
            {
                (origin.label, reason): count
                for origin in origins
                for reason, count in origin.closed.items()
            },
        )
        yield counter(
            "upstream_connect_failures",
            "Dials that failed, by error",
            ["origin", "error"],
            {
                (origin.label, error): count
                for origin in origins
                for error, count in origin.connect_failures.items()
            },
        )

    def _connection_lives(self) -> Iterator[Metric]:
        stats = self._session.stats
        yield counter(
            "upstream_reuse_misses",
            "Requests that needed a new connection, and why",
            ["reason"],
            by_label(stats.misses),
        )
        yield histogram(
            "upstream_connect_seconds",
            "Time of name look-ups, TCP connects and TLS handshakes",
            "phase",
            stats.connect_seconds,
        )
        yield histogram(
            "upstream_requests_per_connection",
            "Requests that a closed connection had carried",
            None,
            {"": stats.requests_per_connection},
        )
        yield histogram(
            "upstream_connection_age_seconds",
            "Age at which connections were closed",
            None,
            {"": stats.connection_age_seconds},
        )

    def _requests(self) -> Iterator[Metric]:
        stats = self._session.stats
        yield counter(
            "requests",
            "Requests answered, by status class and kind of connection",
            ["origin", "code_class", "via"],
            {
                (origin.label, f"{code}xx", via): count
                for origin in stats.origins.values()
                for (code, via), count in origin.requests.items()
            },
        )
        yield histogram(
            "request_duration_seconds",
            "Time from a request's head to the end of its response",
            "via",
            stats.request_seconds,
        )

    def _queue(self) -> Iterator[Metric]:
        session = self._session
        lengths = Counter[tuple[str, ...]]({(o,): 0 for o in session.stats.origins})
        broken = lengths.copy()
        oldest = 0.0
        for pool in session.pool.origins.values():
            waiting, age = pool.waiting(session.clock())
            lengths[pool.stats.label,] += waiting
            broken[pool.stats.label,] |= session.pool.breaker.keeps_out(pool)
            oldest = max(oldest, age)
        yield gauge(
            "queue_length", "Requests that wait for a connection", ["origin"], lengths
        )
        yield gauge(
            "breaker_open",
            "Whether dials failed in a row, and no connection is open: requests fail",
            ["origin"],
            broken,
        )
        yield gauge(
            "queue_oldest_wait_seconds",
            "How long the oldest of them has waited",
            [],
            {(): oldest},
        )
        yield histogram(
            "queue_wait_seconds",
            "How long requests without an idle connection waited",
            None,
            {"": session.stats.queue_wait_seconds},
        )
        yield counter(
            "queue_timeouts",
            "Requests that waited for queue_timeout in vain",
            ["origin"],
            {(o.label,): o.queue_timeouts for o in session.stats.origins.values()},
        )

    def _outcomes(self) -> Iterator[Metric]:
        stats = self._session.stats
        yield counter(
            "retries",
            "Requests sent again after a reused connection failed",
            ["result"],
            by_label(stats.retries),
        )
        yield counter(
            "drains",
            "Responses read to their end for clients that left",
            ["result"],
            by_label(stats.drains),
        )
        yield counter(
            "drained_bytes",
            "Bytes read and discarded for them",
            [],
            {(): stats.drained_bytes},
        )
        yield counter(
            "dns_lookups", "Name look-ups", ["result"], by_label(stats.dns_lookups)
        )
        yield counter(
            "denied",
            "Dials refused, by rule",
            ["rule"],
            by_label(stats.denied),
        )

    def _savings(self) -> Iterator[Metric]:
        origins = self._session.stats.origins.values()
        yield counter(
            "estimated_connections_saved",
            "Connections that clients would have opened without pooling, at least",
            ["origin"],
            {(origin.label,): origin.saved for origin in origins},
        )
        yield counter(
            "estimated_handshake_seconds_saved",
            "Time that opening them would have taken, TLS included",
            ["origin"],
            {(origin.label,): origin.saved_seconds for origin in origins},
        )

    def _https(self) -> Iterator[Metric]:
        origins = self._session.stats.origins.values()
        yield gauge(
            "tunnels",
            "Tunnels that are open: CONNECT and Upgrade",
            [],
            {(): len(self._tunnels.open)},
        )
        yield counter(
            "tunnels_opened",
            "Tunnels opened; none of them can be pooled",
            ["origin"],
            {(origin.label,): origin.tunnels_opened for origin in origins},
        )
        yield counter(
            "intercepts",
            "CONNECT requests to open with the local CA, by what came of it",
            ["origin", "result"],
            {
                (origin.label, result): count
                for origin in origins
                for result, count in origin.intercepts.items()
            },
        )


class _Collected(Collector):
    """Families that have been read already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return self._families


def make_registry(families: Iterable[Metric]) -> CollectorRegistry:
    """Return what an encoder takes; to be read once."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(families))
    return registry
