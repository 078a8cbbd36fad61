"""Destinations: no spelling of an address gets around the rules."""

import socket
from ipaddress import ip_network

import pytest

from reuse_proxy.upstream.policy import DestinationPolicy

LINK_LOCAL = (ip_network("169.254.0.0/16"), ip_network("fe80::/10"))


def rule_for(policy, host, port=80):
    """Return the name of the broken rule, or None."""
    violation = policy.violation(host, port)
    return violation and violation[0]


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "64:ff9b::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        # Teredo keeps the client's address with every bit turned round.
        "2001:0:102:304::5601:5601",
        "fe80::1",
        "fe80::1%1",
        "febf::1",
    ],
)
def test_a_denied_network_is_denied_in_every_form(address):
    """IPv4 within IPv6, whatever the wrapping."""
    policy = DestinationPolicy(deny=LINK_LOCAL)

    violation = policy.violation(address, 80)

    assert violation is not None
    rule, error = violation
    assert (rule, error.status) == ("deny_destinations", 403)
    assert error.error == "destination_ip_prohibited"
    assert "deny_destinations" in str(error)


@pytest.mark.parametrize(
    "address",
    ["169.253.255.255", "::ffff:8.8.8.8", "2002:808:808::1", "fec0::1", "2001:db8::1"],
)
def test_other_addresses_are_allowed(address):
    """A rule does not reach further than its network."""
    policy = DestinationPolicy(deny=LINK_LOCAL)

    assert rule_for(policy, address) is None


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 - judged, not bound
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.1.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fc00::1",
        "fdff::1",
        "fe80::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::192.168.0.1",
        "2002:7f00:1::",
        "2001:0:a00:1::1",
    ],
)
def test_private_addresses_are_denied_on_request(address):
    """Only where deny_private is set."""
    assert rule_for(DestinationPolicy(deny_private=True), address) == "deny_private"
    assert rule_for(DestinationPolicy(), address) is None


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "100.128.0.1", "172.32.0.1", "192.167.0.1", "2606:4700::1111"],
)
def test_public_addresses_pass_deny_private(address):
    """The neighbours of private networks are public."""
    assert rule_for(DestinationPolicy(deny_private=True), address) is None


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.8.8.8", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"],  # noqa: S104
)
def test_the_proxy_does_not_connect_to_itself(address):
    """Its own ports on any address of this machine; other ports are fine."""
    policy = DestinationPolicy(own_ports=lambda: frozenset({4128}))

    violation = policy.violation(address, 4128)

    assert violation is not None
    assert (violation[0], violation[1].error) == ("self", "proxy_loop_detected")
    assert rule_for(policy, address, 4129) is None


def test_the_machines_other_addresses_are_the_proxy_too():
    """What can be bound here is ours."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Sends nothing; documentation addresses are never ours (RFC 5737).
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no route")
        own = probe.getsockname()[0]
    policy = DestinationPolicy(own_ports=lambda: frozenset({4128}))

    assert rule_for(policy, own, 4128) == "self"
    assert rule_for(policy, "192.0.2.1", 4128) is None


def test_ports_of_other_protocols_are_denied():
    """Whatever the address."""
    policy = DestinationPolicy(deny_ports=frozenset({25}))

    violation = policy.violation("8.8.8.8", 25)

    assert violation is not None
    assert (violation[0], violation[1].status) == ("deny_ports", 403)
    assert rule_for(policy, "8.8.8.8", 26) is None
