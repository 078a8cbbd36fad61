"""A report read off the ledger: order, sums, sentences and advice."""

import pytest

from reuse_proxy.http.target import Origin
from reuse_proxy.ledger.identity import Identity
from reuse_proxy.ledger.ledger import Ledger
from reuse_proxy.ledger.verdict import Thresholds
from reuse_proxy.report.build import Reporter, seconds_text
from reuse_proxy.upstream.books import Limits
from reuse_proxy.upstream.options import SessionOptions
from reuse_proxy.upstream.policy import DestinationPolicy
from reuse_proxy.upstream.session import UpstreamSession


@pytest.fixture
async def session(names):
    """A session of which every number is zero."""
    session = UpstreamSession(
        SessionOptions(limits=Limits()), resolver=names, policy=DestinationPolicy()
    )
    yield session
    await session.aclose()


@pytest.fixture
def reporter(session):
    """Reports on an empty ledger."""
    ledger = Ledger(max_clients=10, max_labels=10)
    return Reporter(session, ledger, Thresholds())


def account(reporter, name, **counts):
    """Make the account of a client with these counts."""
    made = reporter.ledger.account(Identity(name, counts.pop("product", "")))
    for counted, number in counts.items():
        setattr(made, counted, number)
    return made


def leak(reporter, name, number=100, **counts):
    """Make one that opens a connection for each request."""
    same = {"requests": number, "connections": number, "needless": number - 1}
    return account(reporter, name, **{**same, **counts})


def stats(reporter, host, **counts):
    """Make the counters of an origin."""
    made = reporter._session.stats.admit(Origin("http", host, 80))
    for counted, number in counts.items():
        setattr(made, counted, number)
    return made


async def test_an_empty_report_says_so(reporter):
    """Nothing has come, and nobody is judged."""
    report = reporter.report()

    assert report["summary"] == "No request has come through the proxy."
    assert report["clients"] == report["origins"] == report["tunnels"] == []
    assert report["totals"]["leaking"] == 0


async def test_clients_are_in_order_of_harm_and_then_of_connections(reporter):
    """Those that are fine come last, those unknown after them."""
    account(reporter, "few", requests=3, connections=1)
    account(reporter, "fine", requests=100, connections=1)
    leak(reporter, "small", 30)
    leak(reporter, "big", 90)
    leak(reporter, "stalls", 30, stalls=30)
    leak(reporter, "unread", 30, unread=30)
    account(reporter, "tunnels", tunnels=30, short_tunnels=30, connections=30)

    names = [entry["client"] for entry in reporter.report()["clients"]]

    assert names == ["stalls", "unread", "big", "small", "tunnels", "fine", "few"]


async def test_the_summary_says_what_happened_and_who_leaks(reporter):
    """With the origins' numbers for what was opened and saved."""
    leak(reporter, "cron", 1500)
    stats(reporter, "a.test", opened=2, reused=1498, saved=1490, saved_seconds=7.45)

    report = reporter.report()

    assert report["summary"] == (
        "1 client made 1,500 requests over 1,500 connections; reuse-proxy opened 2 to"
        " 1 origin, which saved an estimated 1,490 connections and 7.5 s of handshakes."
        " cron leaks."
    )
    assert report["totals"] | {"clients": 1} == {
        "clients": 1,
        "leaking": 1,
        "requests": 1500,
        "client_connections": 1500,
        "upstream_opened": 2,
        "upstream_reused": 1498,
        "tunnels": 0,
        "estimated_connections_saved": 1490,
        "estimated_handshake_seconds_saved": 7.45,
    }


@pytest.mark.parametrize(
    ("leaks", "fine", "end"),
    [
        (0, 1, "No client leaks."),
        (0, 0, "That is too little to judge by."),
        (1, 1, "leak-0 leaks."),
        (3, 0, "3 clients leak, leak-2 worst."),
    ],
)
async def test_the_summary_ends_with_a_judgement(reporter, leaks, fine, end):
    """Of all clients."""
    account(reporter, "few", requests=1, connections=1)
    for number in range(leaks):
        leak(reporter, f"leak-{number}", 100 + number)
    if fine:
        account(reporter, "fine", requests=100, connections=1)

    assert reporter.report()["summary"].endswith(f". {end}")


async def test_a_fix_is_for_the_family_by_user_agent_or_process(reporter):
    """What says nothing of itself may be known by its process."""
    leak(reporter, "a", product="Go-http-client")
    leak(reporter, "b", 99).note_process(1, "node app.js")
    leak(reporter, "c", 98)

    families = [entry["fix"]["family"] for entry in reporter.report()["clients"]]

    assert families == ["go", "node", "unknown"]


async def test_a_client_that_asks_to_close_is_told_to_stop_that(reporter):
    """Where most of its requests do."""
    leak(reporter, "a", product="python-requests", close_requests=51)
    leak(reporter, "b", 99, product="python-requests", close_requests=49)

    first, second = (entry["fix"] for entry in reporter.report()["clients"])

    assert "Connection: close" in first["steps"][0]
    assert "Connection: close" not in " ".join(second["steps"])


async def test_tunnels_are_summed_by_origin_with_flags_that_pool_them(reporter):
    """The busiest first; what has no name of its own is left out."""
    one, two = account(reporter, "one"), account(reporter, "two")
    for _ in range(2):
        one.note_tunnel("a.test:443", short=True)
    two.note_tunnel("a.test:443", short=False)
    two.note_tunnel("[::1]:8443", short=True)
    two.note_tunnel("other", short=True)

    assert reporter.report()["tunnels"] == [
        {
            "origin": "a.test:443",
            "tunnels": 3,
            "short": 2,
            "origination": "--originate-tls a.test",
            "interception": "--intercept a.test",
        },
        {
            "origin": "[::1]:8443",
            "tunnels": 1,
            "short": 1,
            "origination": "--originate-tls [::1]:80=8443",
            "interception": "--intercept [::1]:8443",
        },
    ]


async def test_a_silent_python_program_behind_tunnels_is_not_called_urllib(reporter):
    """Its library sends no User-Agent with CONNECT; which one it is nobody knows."""
    tunnels = account(reporter, "t", tunnels=30, short_tunnels=30)
    plain = leak(reporter, "p")
    for made in (tunnels, plain):
        made.note_process(1, "python3 loop.py")

    families = {e["client"]: e["fix"]["family"] for e in reporter.report()["clients"]}

    assert families == {"p": "urllib", "t": "python"}


async def test_what_was_added_up_is_not_judged(session):
    """Six hundred clients that came once are no client that leaks."""
    ledger = Ledger(max_clients=1, max_labels=1)
    reporter = Reporter(session, ledger, Thresholds())
    ledger.account(Identity("named"))
    for name in ("a", "b"):
        leak(reporter, name, 600)

    entries = {entry["client"]: entry for entry in reporter.report()["clients"]}

    assert entries["other"]["requests"] == 600
    assert entries["other"]["verdict"] == "too_little_data"
    assert entries["other"]["fix"] is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0123, "12.3 ms"), (1.25, "1.2 s"), (1234.5, "1,234.5 s")]
)
def test_times_have_a_unit_that_suits_them(seconds, text):
    """Milliseconds below a second."""
    assert seconds_text(seconds) == text
