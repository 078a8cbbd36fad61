"""Requirement S16: how many clients, in all and of one address."""

from dataclasses import dataclass
from ipaddress import ip_network

import pytest

from reuse_proxy.downstream.access import AccessList
from reuse_proxy.downstream.admission import Admission, ClientLimits

FAR = "10.0.0.1"
FARTHER = "10.0.0.2"


@dataclass(eq=False)
class Visitor:
    """A client that is idle since some time, or busy."""

    host: str | None
    idle_since: float | None = None

    def force_close(self):
        """Closing is seen at once; leaving comes later, as with a connection."""
        self.idle_since = None


def admission(*, clients=100, per_address=100, networks=("10.0.0.0/8",)):
    """Let in whoever comes from these networks."""
    access = AccessList([ip_network(network) for network in networks])
    limits = ClientLimits(access, max_clients=clients, max_per_address=per_address)
    return Admission(limits)


def test_strangers_are_turned_away_and_still_counted_out():
    """A refused client is a connection until it is closed."""
    doors = admission(networks=())
    stranger = Visitor(FAR)

    refusal = doors.enter(stranger)
    doors.leave(stranger)

    assert (refusal.status, refusal.error) == (403, "http_request_denied")
    assert "allow_clients" in refusal.sentence


def test_one_too_many_of_an_address_is_turned_away_while_the_others_are_busy():
    """Another address still gets in; the sentence names the setting."""
    doors = admission(per_address=2)
    for _ in range(2):
        assert doors.enter(Visitor(FAR)) is None

    refusal = doors.enter(Visitor(FAR))

    assert (refusal.status, refusal.retry_after) == (503, 1)
    assert "max_clients_per_address" in refusal.sentence
    assert doors.enter(Visitor(FARTHER)) is None


def test_the_longest_idle_of_the_same_address_makes_room():
    """Not one of another address, however long it has been idle."""
    doors = admission(per_address=2)
    other, late, early = Visitor(FARTHER, 0), Visitor(FAR, 2), Visitor(FAR, 1)
    for visitor in (other, late, early):
        doors.enter(visitor)

    refusal = doors.enter(Visitor(FAR))

    assert refusal is None
    assert [v.idle_since for v in (other, late, early)] == [0, 2, None]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", None])
def test_this_machines_own_clients_share_an_address_and_are_not_bound_by_it(host):
    """None is a UNIX socket's."""
    doors = admission(per_address=1)

    assert [doors.enter(Visitor(host)) for _ in range(3)] == [None] * 3


def test_in_all_the_longest_idle_of_any_address_makes_room():
    """Then there is nobody idle, and the next is turned away."""
    doors = admission(clients=2)
    busy, idle = Visitor(None), Visitor(FAR, 1)
    for visitor in (busy, idle):
        doors.enter(visitor)

    assert doors.enter(Visitor(FARTHER)) is None
    doors.leave(idle)
    refusal = doors.enter(Visitor(FARTHER))

    assert idle.idle_since is None
    assert refusal.status == 503
    assert "(max_clients)" in refusal.sentence


def test_whoever_leaves_frees_a_place():
    """In all and for the address."""
    doors = admission(clients=1, per_address=1)
    for _ in range(3):
        visitor = Visitor(FAR)
        assert doors.enter(visitor) is None
        doors.leave(visitor)


def test_many_may_come_before_those_that_made_room_have_left():
    """Each newcomer costs another idle client its place, the longest idle first."""
    doors = admission(clients=3)
    inside = [Visitor(FAR, number) for number in range(3)]
    for visitor in inside:
        doors.enter(visitor)

    for number in range(3):
        assert doors.enter(Visitor(FAR)) is None
        assert [v.idle_since is None for v in inside].count(True) == number + 1
        assert inside[number].idle_since is None
    assert doors.enter(Visitor(FAR)).status == 503


def test_a_client_that_was_served_meanwhile_is_the_oldest_no_more():
    """Who is idle is looked at once for many newcomers, who is it still each time."""
    doors = admission(clients=3)
    first, second, third = (Visitor(FAR, number) for number in range(3))
    for visitor in (first, second, third):
        doors.enter(visitor)
    doors.enter(Visitor(FAR))  # costs the first its place, and sorts the others
    second.idle_since = 9

    doors.enter(Visitor(FAR))

    assert (second.idle_since, third.idle_since) == (9, None)
