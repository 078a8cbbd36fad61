"""What every metric owes its readers: a name, a help text, bounded labels."""

import asyncio

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from reuse_proxy.admin.families import PREFIX
from reuse_proxy.admin.metrics import ProxyCollector, make_registry
from reuse_proxy.admin.sources import Sources
from reuse_proxy.config.loading import load
from reuse_proxy.downstream.stall import Spool, StallWatch
from reuse_proxy.downstream.tunnel import Tunnels
from reuse_proxy.http.target import Origin
from reuse_proxy.ledger.identity import Identity
from reuse_proxy.ledger.ledger import End, Ledger
from reuse_proxy.ledger.verdict import Thresholds, Verdict
from reuse_proxy.reload import Reloads
from reuse_proxy.report.build import Reporter
from reuse_proxy.upstream.books import CloseReason, Limits, Miss, OriginPool, State
from reuse_proxy.upstream.options import SessionOptions
from reuse_proxy.upstream.policy import DestinationPolicy
from reuse_proxy.upstream.session import UpstreamSession

ALLOWED = {"origin", "state", "scope", "reason", "error", "code_class", "via"}
ALLOWED |= {"phase", "result", "rule", "version", "client", "when", "verdict"}
BOUNDARY = {"le"}


@pytest.fixture
async def session(names):
    """A session without connections, of which every number is zero."""
    session = UpstreamSession(
        SessionOptions(limits=Limits(max_sockets=7, max_per_origin=3), max_origins=2),
        resolver=names,
        policy=DestinationPolicy(),
    )
    yield session
    await session.aclose()


@pytest.fixture
async def watch():
    """A stall watch that watches nobody."""
    watch = StallWatch(Spool(1, 1, 1), loop=asyncio.get_running_loop())
    yield watch
    watch.close()


@pytest.fixture
async def tunnels(session):
    """No tunnels."""
    tunnels = Tunnels(session, idle_timeout=1, loop=asyncio.get_running_loop())
    yield tunnels
    tunnels.close()


@pytest.fixture
def sources(session, watch, tunnels):
    """All that is read, with a ledger of at most two labels."""
    ledger = Ledger(max_clients=3, max_labels=2)
    return Sources(
        session,
        watch,
        tunnels,
        Reporter(session, ledger, Thresholds()),
        Reloads(load({}, {}), read=lambda: load({}, {}), apply=nothing),
    )


async def nothing(_):
    """Have nobody go by the settings."""


def used(sources):
    """Let every counter count something."""
    session = sources.session
    for number in range(4):
        stats = session.stats.admit(Origin("http", f"o{number}.test", 80))
        stats.opened += 2
        stats.reused += 1
        stats.queue_timeouts += 1
        stats.requests[2, "reused"] += 1
        stats.connect_failures["dns_error"] += 1
        stats.tunnels_opened += 1
        stats.intercepts["ok"] += 1
        stats.closed.update(CloseReason)
    stats = session.stats
    stats.misses.update(Miss)
    stats.retries["ok"] += 1
    stats.drains["reused"] += 1
    stats.denied["deny_ports"] += 1
    stats.dns_lookups["ok"] += 1
    stats.drained_bytes += 5
    stats.queue_wait_seconds.observe(0.2)
    stats.connect_seconds["tcp"].observe(0.002)


def exposed(sources):
    """All families as a scraper reads them."""
    text = generate_latest(make_registry(ProxyCollector(sources).collect())).decode()
    return list(text_string_to_metric_families(text))


async def test_every_family_has_prefix_help_and_a_type(sources):
    """Also before anything has happened."""
    families = list(ProxyCollector(sources).collect())

    names = [family.name for family in families]
    assert len(set(names)) == len(names) > 20
    for family in families:
        assert family.name.startswith(PREFIX)
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")


async def test_labels_are_of_the_known_bounded_ones(sources):
    """Nothing of a request, and no address, can be one."""
    used(sources)

    names = {
        name
        for family in exposed(sources)
        for sample in family.samples
        for name in sample.labels
    }

    assert names <= ALLOWED | BOUNDARY


async def test_origins_beyond_the_bound_are_other(sources):
    """Four origins, labels for two; the sums are whole."""
    used(sources)

    opened = {
        sample.labels["origin"]: sample.value
        for family in exposed(sources)
        if family.name == PREFIX + "upstream_connections_opened"
        for sample in family.samples
    }

    assert opened == {"http://o0.test:80": 2, "http://o1.test:80": 2, "other": 4}


async def test_histograms_are_cumulative_and_agree_with_their_count(sources):
    """As Prometheus wants them: the last bucket is everything."""
    used(sources)

    for family in exposed(sources):
        if family.type != "histogram":
            continue
        series: dict[str, list[float]] = {}
        counts = {}
        for sample in family.samples:
            labels = {k: v for k, v in sample.labels.items() if k != "le"}
            if sample.name.endswith("_bucket"):
                series.setdefault(str(labels), []).append(sample.value)
            elif sample.name.endswith("_count"):
                counts[str(labels)] = sample.value
        for key, buckets in series.items():
            assert buckets == sorted(buckets)
            assert buckets[-1] == counts[key]


async def test_limits_are_those_in_force(sources):
    """So that an alert can be a share of them."""
    limits = {
        sample.labels["scope"]: sample.value
        for family in exposed(sources)
        if family.name == PREFIX + "upstream_connections_limit"
        for sample in family.samples
    }

    assert limits == {"global": 7, "origin": 3}


async def test_states_of_a_known_origin_are_shown_as_zero(sources):
    """A gauge that is absent looks like a failed scrape."""
    session, origin = sources.session, Origin("http", "o.test", 80)
    session.pool.origins[origin] = OriginPool(origin, session.stats.admit(origin))
    del session.pool.origins[origin]

    states = {
        sample.labels["state"]: sample.value
        for family in exposed(sources)
        if family.name == PREFIX + "upstream_connections"
        for sample in family.samples
    }

    assert states == dict.fromkeys(set(State) - {State.CLOSED}, 0)


async def test_each_registry_is_its_own(sources):
    """Two scrapes at a time do not share what they read."""
    registries = [make_registry(ProxyCollector(sources).collect()) for _ in range(2)]

    assert generate_latest(registries[0]) == generate_latest(registries[1])


async def test_clients_beyond_the_bound_are_other(sources):
    """Five clients, labels for two and accounts for three; the sums are whole."""
    ledger = sources.reporter.ledger
    for number in range(5):
        visit = ledger.enter(Identity(f"c{number}"), now=1.0)
        ledger.leave(visit, Bytes(), End(1.0, 1.0, ours=False, broken=False))

    opened = {
        sample.labels["client"]: sample.value
        for family in exposed(sources)
        if family.name == PREFIX + "client_connections_opened"
        for sample in family.samples
    }

    assert opened == {"c0": 1, "c1": 1, "other": 3}
    assert len(ledger) == 3


async def test_a_client_has_one_verdict_and_zeros_for_the_others(sources):
    """What an alert looks at; `other` has every verdict that one of its own has."""
    ledger = sources.reporter.ledger
    leaky = ledger.account(Identity("leaky"))
    leaky.requests = leaky.connections = leaky.needless = 20

    verdicts = {
        sample.labels["verdict"]: sample.value
        for family in exposed(sources)
        if family.name == PREFIX + "client_leak_verdict"
        for sample in family.samples
    }

    assert verdicts == dict.fromkeys(map(str, Verdict), 0) | {
        "connection_per_request": 1
    }


class Bytes:
    """No traffic."""

    written = received = 0
