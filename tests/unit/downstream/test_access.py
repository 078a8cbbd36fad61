"""Requirement S2: the peer's address against the list."""

from ipaddress import ip_network

import pytest

from reuse_proxy.downstream.access import AccessList


@pytest.mark.parametrize(
    "peer",
    ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", None],
)
def test_loopback_and_unix_peers_are_allowed_whatever_the_list(peer):
    """None stands for a UNIX socket, which its file protects."""
    assert AccessList(()).allows(peer)


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.1.2.3", False),
        ("::ffff:11.1.2.3", False),
        ("fd00::1", True),
        ("fd00:0:0:1::1", False),
        ("fe80::1%eth0", True),
        ("fe80:0:0:1::1%eth0", False),
        ("0.0.0.0", False),  # noqa: S104 - nothing is bound
        ("::", False),
    ],
)
def test_others_are_allowed_by_the_list_alone(peer, allowed):
    """IPv4 in an IPv6 form is IPv4; a scope is not part of the address."""
    networks = [ip_network(text) for text in ("10.0.0.0/8", "fd00::/64", "fe80::/64")]

    assert AccessList(networks).allows(peer) is allowed


def test_an_empty_list_refuses_everybody_else():
    """Private networks too."""
    access = AccessList(())

    assert not any(map(access.allows, ["192.168.1.1", "10.0.0.1", "fd00::1"]))


def test_what_is_remembered_of_peers_is_bounded():
    """Ten thousand addresses, and still the right answers."""
    access = AccessList([ip_network("10.0.0.0/8")])

    for number in range(10_000):
        assert access.allows(f"10.0.{number // 256}.{number % 256}")
    assert not access.allows("11.0.0.1")
    assert len(access._known) <= 4096
