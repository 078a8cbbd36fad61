"""The book of all clients: bounded, and no sum ever falls."""

import pytest

from reuse_proxy.ledger.identity import Identity
from reuse_proxy.ledger.ledger import End, Ledger


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


def leave(ledger, visit, *, now=0.0, idle_since=0.0, ours=False, broken=False):
    """Close one."""
    ledger.leave(visit, Bytes(), End(now, idle_since, ours=ours, broken=broken))


def used(ledger, name="a", *, opened=0.0, closed=0.0, requests=1, ours=False):
    """Open a connection, use it and close it; it was idle from its opening on."""
    visit = enter(ledger, name, now=opened)
    visit.requests = requests
    leave(ledger, visit, now=closed, idle_since=opened, ours=ours)
    return visit.account


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


def test_past_the_bound_the_client_that_asked_least_makes_room(ledger):
    """Not one with a label: its series would go away. No sum falls."""
    for name in "abcd":
        leave(ledger, enter(ledger, name))
    ledger.account(Identity("c")).requests = 100

    leave(ledger, enter(ledger, "e"))

    assert names(ledger) == ["a", "b", "c", "e", "other"]
    assert sum(account.connections for account in ledger.accounts()) == 5
    assert ledger.merged == 1
    assert repr(ledger) == "<Ledger 4 clients, 1 merged>"


def test_a_leak_is_not_forgotten_for_clients_that_come_once(ledger):
    """Among equals the one that was seen longest ago goes."""
    for name in "abc":
        used(ledger, name)
    ledger.account(Identity("c")).requests = 100
    for number in range(1500):
        used(ledger, f"once-{number}")

    assert names(ledger) == ["a", "b", "c", "once-1499", "other"]


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
    assert ledger.requests_per_connection.counts[0] == 2000


def test_each_connection_in_the_place_of_one_just_closed_is_needless(ledger):
    """A hundred in a row: all but the first."""
    account = ledger.account(Identity("a"))
    for number in range(100):
        used(ledger, opened=number / 10, closed=number / 10 + 0.05)

    assert (account.connections, account.needless) == (100, 99)


def test_connections_that_are_opened_at_once_are_not_needless(ledger):
    """A pool under load: nothing could have been used again, before or after."""
    visits = [enter(ledger, "a", now=1.0) for _ in range(50)]
    for visit in visits:
        visit.requests = 1
        leave(ledger, visit, now=3.0, idle_since=2.0)

    assert visits[0].account.needless == 0


def test_one_that_is_opened_long_after_another_was_closed_is_not_needless(ledger):
    """Nobody can count on a connection to stay open for so long."""
    account = ledger.account(Identity("a"))
    for number in range(10):
        used(ledger, opened=31.0 * number, closed=31.0 * number)

    assert account.needless == 0


def test_connections_that_lie_idle_while_others_are_opened_are_needless(ledger):
    """Neither used again nor closed: a leak that a program's end closes."""
    visits = []
    for number in range(100):
        visit = enter(ledger, "a", now=number)
        visit.requests = 1
        visits.append((visit, number + 0.5))
    for visit, idle_since in visits:
        leave(ledger, visit, now=200.0, idle_since=idle_since)

    assert visits[0][0].account.needless == 99


@pytest.mark.parametrize(("connections", "needless"), [(12, 0), (40, 20)])
def test_idle_ones_that_we_end_are_needless_only_where_there_are_many(
    ledger, connections, needless
):
    """A dozen processes under one name may each have one that rests."""
    visits = []
    for number in range(connections):
        visit = enter(ledger, "a", now=number)
        visit.requests = 1
        visits.append((visit, number + 0.5))
    for visit, idle_since in visits:
        leave(ledger, visit, now=200.0, idle_since=idle_since, ours=True)

    assert visits[0][0].account.needless == needless


def test_a_connection_that_we_have_ended_is_not_held_against_its_client(ledger):
    """It opens another one, since it has to."""
    account = ledger.account(Identity("a"))
    for number in range(100):
        used(ledger, opened=number, closed=number, ours=True)

    assert account.needless == 0


def test_one_that_ends_in_the_middle_of_a_response_could_not_be_used_again(ledger):
    """That is an abort, which is counted as one."""
    for number in range(10):
        visit = enter(ledger, "a", now=number)
        visit.requests = 1
        leave(ledger, visit, now=number, idle_since=None)

    assert ledger.account(Identity("a")).needless == 0


def test_a_connection_without_a_request_says_nothing_of_its_client(ledger):
    """As of a port scan."""
    account = ledger.account(Identity("a"))
    for number in range(10):
        used(ledger, opened=number, closed=number, requests=0)

    assert account.needless == 0
    assert ledger.requests_per_connection.counts[0] == 0


def test_a_client_that_was_gone_before_its_response_has_left(ledger):
    """It had closed its sending side by then, and has read nothing since."""
    visit = enter(ledger, "a")
    visit.requests = 1
    visit.gone_in = "head"

    leave(ledger, visit, broken=True)

    assert visit.account.aborts == {"head": 1}
    assert (visit.account.unread, visit.account.closed) == (0, 0)


def test_an_unread_response_is_counted_once(ledger):
    """Unless the client left in the middle of it, which is an abort."""
    account = ledger.account(Identity("a"))
    for left, idle_since in ((False, 1.0), (True, 1.0), (False, None)):
        visit = enter(ledger, "a")
        visit.requests = 1
        visit.left = left
        leave(ledger, visit, now=1.0, idle_since=idle_since, broken=True)

    assert account.unread == 1


def test_a_connection_that_stalled_or_became_a_tunnel_is_not_judged(ledger):
    """It has been judged for that."""
    visit = enter(ledger, "a")
    visit.requests = 1
    visit.over = True

    leave(ledger, visit, broken=True)

    assert visit.account.closed == visit.account.unread == 0


def test_a_connection_stays_with_whom_it_was_opened_for(ledger):
    """Requests that another name sends on it are that one's."""
    visit = enter(ledger, "a")

    ledger.rename(visit, Identity("b"), credentials=b"Basic x")
    visit.account.requests += 1
    leave(ledger, visit)

    a, b = ledger.account(Identity("a")), ledger.account(Identity("b"))
    assert (a.connections, a.open, a.requests) == (1, 0, 0)
    assert (b.connections, b.open, b.requests) == (0, 0, 1)
