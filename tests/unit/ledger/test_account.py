"""An account: plain sums, a few processes, and nothing that grows."""

import pytest

from reuse_proxy.ledger.account import Account


@pytest.fixture
def account():
    """An account of nobody in particular."""
    return Account("a", product="curl", label="a")


def test_a_new_account_is_all_zeros(account):
    """And has no ratio, since nothing can be divided by no connection."""
    assert account.requests == account.connections == account.saved == 0
    assert account.requests_per_connection is None


def test_requests_per_connection_is_the_mean(account):
    """Open connections count."""
    account.requests, account.connections = 30, 4

    assert account.requests_per_connection == 7.5


def test_the_first_few_commands_are_kept_with_their_newest_process(account):
    """A shell loop is one command with many processes."""
    for pid in range(100, 103):
        account.note_process(pid, "curl")
    for number in range(10):
        account.note_process(number, f"program-{number}")

    assert account.processes == {
        "curl": 102,
        **{f"program-{number}": number for number in range(4)},
    }


def test_tunnels_are_counted_and_the_first_few_origins_kept(account):
    """All of them in the sum, eight by name."""
    for number in range(10):
        account.note_tunnel(f"o{number}:443", short=number % 2 == 0)
    account.note_tunnel("o0:443", short=False)

    assert (account.tunnels, account.short_tunnels) == (11, 5)
    assert account.tunnel_origins["o0:443"] == (2, 1)
    assert len(account.tunnel_origins) == 8


def test_an_account_that_absorbs_another_has_the_sums_of_both(account):
    """Every counter, and the counts by reason and phase."""
    other = Account("b", product="", label="other")
    for number, counted in enumerate(("requests", "open", "saved", "sent"), start=1):
        setattr(account, counted, number)
        setattr(other, counted, 10 * number)
    account.aborts["body"] = 1
    other.aborts["body"] = 2
    other.misses["first"] = 3
    other.saved_seconds = 0.5

    account.absorb(other)

    assert (account.requests, account.open) == (11, 22)
    assert (account.saved, account.sent, account.saved_seconds) == (33, 44, 0.5)
    assert account.aborts == {"body": 3}
    assert account.misses == {"first": 3}
    assert repr(account) == "<Account 'a' requests=11 connections=0 open=22>"
