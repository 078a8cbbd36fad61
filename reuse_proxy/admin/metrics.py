"""The Prometheus collector: reads the session's and listener's numbers at scrape.

Every metric that reuse-proxy serves is named here, with its help text; nothing on
the request path knows of prometheus_client (design D11).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from reuse_proxy import __version__
from reuse_proxy.admin.kernel import socket_states

if TYPE_CHECKING:
    from reuse_proxy.downstream.stall import StallWatch
    from reuse_proxy.upstream.session import UpstreamSession
    from reuse_proxy.upstream.stats import Histogram

PREFIX = "reuse_proxy_"


class ProxyCollector(Collector):
    """Reads plain integers and renders them; holds no state of its own."""

    def __init__(self, session: "UpstreamSession", stall_watch: "StallWatch") -> None:
        self._session = session
        self._stall_watch = stall_watch

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        yield from self._connections()
        yield from self._connection_totals()
        yield from self._connection_lives()
        yield from self._requests()
        yield from self._queue()
        yield from self._outcomes()
        yield from self._client_side()
        yield _gauge(
            "build_info", "Version of reuse-proxy", ["version"], {(__version__,): 1}
        )

    def _connections(self) -> Iterator[Metric]:
        session = self._session
        yield _gauge(
            "upstream_connections",
            "Sockets to origins by state",
            ["origin", "state"],
            session.states(),
        )
        limits = session.limits
        yield _gauge(
            "upstream_connections_limit",
            "Hard caps on sockets to origins",
            ["scope"],
            {("global",): limits.max_sockets, ("origin",): limits.max_per_origin},
        )
        kernel = socket_states(
            connection.fileno() for connection in session.connections()
        )
        yield _gauge(
            "kernel_sockets",
            "Sockets to origins as the kernel's table has them; must agree",
            ["state"],
            {(state,): count for state, count in kernel.items()},
        )

    def _connection_totals(self) -> Iterator[Metric]:
        origins = self._session.stats.origins.values()
        yield _counter(
            "upstream_connections_opened",
            "Connections established to origins",
            ["origin"],
            {(origin.label,): origin.opened for origin in origins},
        )
        yield _counter(
            "upstream_connections_reused",
            "Requests sent on a connection that had carried others",
            ["origin"],
            {(origin.label,): origin.reused for origin in origins},
        )
        yield _counter(
            "upstream_connections_closed",
            "Connections to origins closed, and why",
            ["origin", "reason"],
            {
                (origin.label, reason): count
                for origin in origins
                for reason, count in origin.closed.items()
            },
        )
        yield _counter(
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
        yield _counter(
            "upstream_reuse_misses",
            "Requests that needed a new connection, and why",
            ["reason"],
            _by_label(stats.misses),
        )
        yield _histogram(
            "upstream_connect_seconds",
            "Time of name resolution and of TCP connects",
            "phase",
            stats.connect_seconds,
        )
        yield _histogram(
            "upstream_requests_per_connection",
            "Requests that a closed connection had carried",
            None,
            {"": stats.requests_per_connection},
        )
        yield _histogram(
            "upstream_connection_age_seconds",
            "Age at which connections were closed",
            None,
            {"": stats.connection_age_seconds},
        )

    def _requests(self) -> Iterator[Metric]:
        stats = self._session.stats
        yield _counter(
            "requests",
            "Requests answered, by status class and kind of connection",
            ["origin", "code_class", "via"],
            {
                (origin.label, f"{code}xx", via): count
                for origin in stats.origins.values()
                for (code, via), count in origin.requests.items()
            },
        )
        yield _histogram(
            "request_duration_seconds",
            "Time from a request's head to the end of its response",
            "via",
            stats.request_seconds,
        )

    def _queue(self) -> Iterator[Metric]:
        session = self._session
        lengths = Counter[tuple[str, ...]]({(o,): 0 for o in session.stats.origins})
        oldest = 0.0
        for pool in session.pool.origins.values():
            waiting, age = pool.waiting(session.clock())
            lengths[pool.stats.label,] += waiting
            oldest = max(oldest, age)
        yield _gauge(
            "queue_length", "Requests that wait for a connection", ["origin"], lengths
        )
        yield _gauge(
            "queue_oldest_wait_seconds",
            "How long the oldest of them has waited",
            [],
            {(): oldest},
        )
        yield _histogram(
            "queue_wait_seconds",
            "How long requests without an idle connection waited",
            None,
            {"": session.stats.queue_wait_seconds},
        )
        yield _counter(
            "queue_timeouts",
            "Requests that waited for queue_timeout in vain",
            ["origin"],
            {(o.label,): o.queue_timeouts for o in session.stats.origins.values()},
        )

    def _outcomes(self) -> Iterator[Metric]:
        stats = self._session.stats
        yield _counter(
            "retries",
            "Requests sent again after a reused connection failed",
            ["result"],
            _by_label(stats.retries),
        )
        yield _counter(
            "drains",
            "Responses read to their end for clients that left",
            ["result"],
            _by_label(stats.drains),
        )
        yield _counter(
            "drained_bytes",
            "Bytes read and discarded for them",
            [],
            {(): stats.drained_bytes},
        )
        yield _counter(
            "dns_lookups", "Name look-ups", ["result"], _by_label(stats.dns_lookups)
        )
        yield _counter(
            "denied",
            "Dials refused, by rule",
            ["rule"],
            _by_label(stats.denied),
        )

    def _client_side(self) -> Iterator[Metric]:
        watch = self._stall_watch
        yield _gauge(
            "spooled_bytes",
            "Response bytes held for clients that read slowly",
            [],
            {(): watch.spooled},
        )
        yield _counter(
            "client_stalls",
            "Clients reset because they did not read",
            [],
            {(): watch.stalls},
        )


def make_registry(
    session: "UpstreamSession", stall_watch: "StallWatch"
) -> CollectorRegistry:
    """Return a registry of its own with the collector in it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ProxyCollector(session, stall_watch))
    return registry


_Samples = Mapping[tuple[str, ...], float]


def _by_label(counts: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    return {(str(label),): count for label, count in counts.items()}


def _gauge(name: str, text: str, labels: list[str], samples: _Samples) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for values, value in samples.items():
        family.add_metric(list(values), value)
    return family


def _counter(name: str, text: str, labels: list[str], samples: _Samples) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for values, value in samples.items():
        family.add_metric(list(values), value)
    return family


def _histogram(
    name: str, text: str, label: str | None, histograms: "Mapping[str, Histogram]"
) -> Metric:
    labels = [] if label is None else [label]
    family = HistogramMetricFamily(PREFIX + name, text, labels=labels)
    for value, histogram in histograms.items():
        family.add_metric(
            [value] if labels else [], list(histogram.buckets()), histogram.sum
        )
    return family
