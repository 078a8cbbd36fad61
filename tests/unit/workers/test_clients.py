"""Accounts of several workers, merged and judged as one."""

import json

import pytest

from reuse_proxy.admin.families import counter, gauge, plain
from reuse_proxy.ledger.account import Account
from reuse_proxy.ledger.identity import OTHER
from reuse_proxy.ledger.ledger import Ledger
from reuse_proxy.ledger.verdict import Thresholds
from reuse_proxy.report.build import Reporter
from reuse_proxy.workers.clients import SummedSession, add_clients
from reuse_proxy.workers.tally import Labels, Tally

Samples = dict[tuple[str, ...], float]


@pytest.fixture
def ledger():
    """A ledger for three clients, all labels of which are given from outside."""
    return Ledger(max_clients=3, max_labels=0)


def account(name, label=None, **counts):
    """Return an account with these counts, as it comes by JSON."""
    made = Account(name, product="curl", label=name if label is None else label)
    for counted, number in counts.items():
        setattr(made, counted, number)
    return made


def state(*accounts, merged=0):
    """Return what a worker tells of its clients."""
    told = {"clients": [a.plain() for a in accounts], "merged": merged}
    return json.loads(json.dumps(told))


def add(ledger, *states, labels=None, ended=False):
    """Add what workers tell."""
    for told in states:
        add_clients(ledger, told, labels=labels or Labels(10), ended=ended)


def test_one_account_is_what_all_workers_have_counted(ledger):
    """Sums, phases, misses, processes and tunnels."""
    first = account("a", requests=15, connections=15, needless=14, open=2)
    first.aborts["body"] = 1
    first.misses["first"] = 1
    first.note_process(7, "python")
    first.note_tunnel("x.test:443", short=True)
    second = account("a", requests=20, connections=20, needless=19, saved_seconds=0.5)
    second.aborts["body"] = 2
    second.misses["stale"] = 1
    second.note_process(8, "ruby")
    second.note_tunnel("x.test:443", short=False)
    add(ledger, state(first), state(second))

    (merged,) = ledger.accounts()
    assert (merged.requests, merged.connections, merged.open) == (35, 35, 2)
    assert (merged.needless, merged.saved_seconds) == (33, 0.5)
    assert (merged.aborts, merged.misses) == ({"body": 3}, {"first": 1, "stale": 1})
    assert merged.processes == {"python": 7, "ruby": 8}
    assert merged.tunnel_origins == {"x.test:443": (2, 1)}
    assert (merged.tunnels, merged.short_tunnels) == (2, 1)
    assert merged.label == "a"


def test_a_client_that_one_worker_has_named_is_named(ledger):
    """Another one had no label left for it."""
    named, unnamed = account("a", requests=1), account("a", OTHER, requests=2)
    add(ledger, state(unnamed), state(named), state(unnamed))

    (merged,) = ledger.accounts()
    assert (merged.label, merged.requests) == ("a", 5)


def test_what_was_added_up_by_a_worker_stays_added_up(ledger):
    """Nobody is called other, so nothing else can be meant."""
    told = state(account(OTHER, OTHER, requests=9, connections=9), merged=4)
    add(ledger, told, told)

    assert list(ledger.accounts()) == [ledger.other]
    assert (ledger.other.requests, ledger.merged) == (18, 8)


def test_there_are_no_more_accounts_than_a_ledger_has(ledger):
    """The rest is added up; the sum is whole, whoever makes room."""
    add(ledger, *(state(account(f"c{n}", requests=n, connections=1)) for n in range(9)))

    assert len(ledger) == 3
    assert sum(each.requests for each in ledger.accounts()) == sum(range(9))


def test_what_a_dead_worker_had_open_is_not_open(ledger):
    """All else that it had counted stays."""
    add(ledger, state(account("a", connections=5, open=3)), ended=True)
    add(ledger, state(account("a", connections=2, open=1)))

    (merged,) = ledger.accounts()
    assert (merged.connections, merged.open) == (7, 1)


def test_a_report_reads_sums_as_it_reads_a_session(ledger):
    """Origins, and what is open, off the metrics of two workers."""
    tally = Tally({})
    for number in (1, 2):
        label = ("http://a.test:80",)
        tally.add(
            [
                plain(counter(name, "", ["origin"], {label: number}))
                for name in (
                    "upstream_connections_opened",
                    "upstream_connections_reused",
                    "tunnels_opened",
                    "estimated_connections_saved",
                    "estimated_handshake_seconds_saved",
                )
            ],
            ended=False,
        )
        states: Samples = {(*label, "idle"): number, (*label, "active"): 1}
        more = ["origin", "code_class", "via"]
        answered: Samples = {
            (*label, "2xx", "new"): 5,
            (*label, "2xx", "intercept"): 100,
        }
        failed: Samples = {(*label, "connection_refused"): number}
        tally.add(
            [
                plain(gauge("upstream_connections", "", ["origin", "state"], states)),
                plain(counter("requests", "", more, answered)),
                plain(
                    counter(
                        "upstream_connect_failures", "", ["origin", "error"], failed
                    )
                ),
            ],
            ended=False,
        )
    session = SummedSession(lambda: 0.0)
    session.read(tally)

    (origin,) = Reporter(session, ledger, Thresholds()).report()["origins"]
    assert origin == {
        "origin": "http://a.test:80",
        "requests": 10,
        "opened": 3,
        "reused": 3,
        "open": 5,
        "tunnels": 3,
        "connect_failures": 3,
        "estimated_connections_saved": 3,
        "estimated_handshake_seconds_saved": 3.0,
    }
