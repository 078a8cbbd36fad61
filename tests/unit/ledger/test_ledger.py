"""The book of all clients: bounded, and no sum ever falls."""

import pytest

from reuse_proxy.ledger.identity import Identity
from reuse_proxy.ledger.ledger import Ledger


class Bytes:
    """No traffic."""

    written = received = 0


@pytest.fixture
def ledger():
    """A book for four clients, two of them named in metrics."""
    return Ledger(max_clients=4, max_labels=2)


def enter(ledger, name, *, now=0.0):
    """Open a connection of a client."""
    return ledger.enter(Identity(name, "curl"), now=now)


def leave(ledger, visit, *, now=0.0, idle_since=0.0, unread=False):
    """Close one."""
    ledger.leave(visit, Bytes(), now=now, idle_since=idle_since, unread=unread)


def names(ledger):
    """Whose accounts there are."""
    return [account.name for account in ledger.accounts()]


def test_a_client_has_one_account_for_all_its_connections(ledger):
    """By its name."""
    first, second = enter(ledger, "a"), enter(ledger, "a")
    leave(ledger, first)

    assert first.account is second.account
    assert (first.account.connections, first.account.open) == (2, 1)
    assert first.account.product == "curl"


def test_the_first_clients_have_labels_and_the_rest_are_other(ledger):
    """Decided when they come, and for good."""
    for name in "abcd":
        leave(ledger, enter(ledger, name))

    labels = {account.name: account.label for account in ledger.accounts()}
    assert labels == {"a": "a", "b": "b", "c": "other", "d": "other"}


def test_past_the_bound_the_client_seen_longest_ago_makes_room(ledger):
    """Not one with a label: its series would go away. No sum falls."""
    for name in "abcdc":
        leave(ledger, enter(ledger, name))

    leave(ledger, enter(ledger, "e"))

    assert names(ledger) == ["a", "b", "c", "e", "other"]
    assert sum(account.connections for account in ledger.accounts()) == 6
    assert ledger.merged == 1
    assert repr(ledger) == "<Ledger 4 clients, 1 merged>"


def test_a_client_that_is_connected_keeps_its_account(ledger):
    """Its connections hold it; while all do, newcomers are counted as other."""
    visits = [enter(ledger, name) for name in "abcd"]

    stranger = enter(ledger, "e")

    assert stranger.account is ledger.other
    for visit in (*visits, stranger):
        leave(ledger, visit)
    assert all(account.open == 0 for account in ledger.accounts())


def test_two_thousand_clients_leave_the_book_within_its_bounds():
    """Each with a connection of its own; memory is bounded by the accounts."""
    ledger = Ledger(max_clients=100, max_labels=25)

    for number in range(2000):
        visit = enter(ledger, f"client-{number}")
        visit.requests = 1
        leave(ledger, visit)

    assert len(ledger) == 100
    assert len({account.label for account in ledger.accounts()}) == 26
    assert sum(account.connections for account in ledger.accounts()) == 2000
    assert sum(account.single_use for account in ledger.accounts()) == 2000
    assert ledger.requests_per_connection.counts[0] == 2000


@pytest.mark.parametrize(
    ("now", "idle_since", "opened_at", "single"),
    [
        (10.0, None, 0.0, 1),  # in the middle of its response
        (10.0, 9.0, 0.0, 1),  # closed soon after it
        (10.0, 4.0, 0.0, 0),  # kept, and then closed
        (10.0, 4.0, 5.0, 1),  # lay idle while another one was opened
    ],
)
def test_a_connection_with_one_request_is_single_use_if_it_was_not_kept(
    ledger, now, idle_since, opened_at, single
):
    """A client that asks once in two minutes does nothing wrong."""
    visit = enter(ledger, "a", now=-1.0)
    visit.requests = 1
    visit.account.opened_at = opened_at

    leave(ledger, visit, now=now, idle_since=idle_since)

    assert visit.account.single_use == single


@pytest.mark.parametrize("requests", [0, 2])
def test_a_connection_with_another_number_of_requests_is_not_single_use(
    ledger, requests
):
    """None at all says nothing of the client; it has not ended as a used one."""
    visit = enter(ledger, "a")
    visit.requests = requests

    leave(ledger, visit)

    assert visit.account.single_use == 0
    assert visit.account.ended == (1 if requests else 0)


def test_an_unread_response_is_counted_once(ledger):
    """Unless the client left in the middle of it, which is an abort."""
    account = ledger.account(Identity("a"))
    for left, idle_since in ((False, 1.0), (True, 1.0), (False, None)):
        visit = enter(ledger, "a")
        visit.requests = 1
        visit.left = left
        leave(ledger, visit, now=1.0, idle_since=idle_since, unread=True)

    assert account.unread == 1


def test_a_connection_that_stalled_or_became_a_tunnel_is_not_judged(ledger):
    """It has been judged for that."""
    visit = enter(ledger, "a")
    visit.requests = 1
    visit.over = True

    leave(ledger, visit, unread=True)

    assert visit.account.single_use == visit.account.unread == 0


def test_a_connection_stays_with_whom_it_was_opened_for(ledger):
    """Requests that another name sends on it are that one's."""
    visit = enter(ledger, "a")

    ledger.rename(visit, Identity("b"), credentials=b"Basic x")
    visit.account.requests += 1
    leave(ledger, visit)

    a, b = ledger.account(Identity("a")), ledger.account(Identity("b"))
    assert (a.connections, a.open, a.requests) == (1, 0, 0)
    assert (b.connections, b.open, b.requests) == (0, 0, 1)
