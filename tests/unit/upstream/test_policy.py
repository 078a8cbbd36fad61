"""Destinations: no spelling of an address gets around the rules."""

import socket
from ipaddress import ip_network

import pytest

from reuse_proxy.upstream.policy import DestinationPolicy, is_loopback

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


@pytest.mark.parametrize(
    ("host", "rule"),
    [
        ("a.test", None),
        ("metadata.internal", None),
        ("8.8.8.8", None),
        ("a.test.1x", None),
        ("1.test", None),
        ("169.254.169.254", "deny_destinations"),
        ("::ffff:169.254.169.254", "deny_destinations"),
        ("10.0.0.1", "deny_private"),
        ("127.1", "deny_destinations"),
        ("2130706433", "deny_destinations"),
        ("0x7f.0.0.1", "deny_destinations"),
        ("0x7f000001", "deny_destinations"),
        ("0177.0.0.01", "deny_destinations"),
        ("8.8.0x", "deny_destinations"),
        ("a.1", "deny_destinations"),
    ],
)
def test_what_a_parent_looks_up_is_checked_as_far_as_it_is_known(host, rule):
    """Addresses as ever; none in a spelling that the parent may read otherwise."""
    policy = DestinationPolicy(deny=LINK_LOCAL, deny_private=True)

    broken = policy.unresolved(host, 80)

    assert (broken and broken[0]) == rule
    assert broken is None or broken[1].error == "destination_ip_prohibited"


def test_ports_and_ourselves_are_checked_for_a_parent_to_look_up():
    """A name has a port, too; an address of ours would come back to us."""
    policy = DestinationPolicy(
        deny_ports=frozenset({22}), own_ports=lambda: frozenset({4128})
    )

    port, ours = policy.unresolved("a.test", 22), policy.unresolved("::1", 4128)

    assert port is not None
    assert port[0] == "deny_ports"
    assert ours is not None
    assert ours[0] == "self"


def test_a_parents_own_address_breaks_one_rule_alone():
    """Whoever set it has allowed it, but we cannot be our own."""
    policy = DestinationPolicy(
        deny=[ip_network("0.0.0.0/0")],
        deny_private=True,
        deny_ports=frozenset({3128, 4128}),
        own_ports=lambda: frozenset({4128}),
    )

    broken = policy.parent_violation("127.0.0.1", 4128)

    assert policy.parent_violation("127.0.0.1", 3128) is None
    assert broken is not None
    assert broken[0] == "self"
    assert "(parent_proxy)" in str(broken[1])


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("a.b.localhost", True),
        ("127.0.0.1", True),
        ("127.255.0.1", True),
        ("0.0.0.0", True),  # noqa: S104 - nothing is bound
        ("::1", True),
        ("::", True),
        ("::ffff:127.0.0.1", True),
        ("notlocalhost", False),
        ("localhost.test", False),
        ("128.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1", False),
    ],
)
def test_loopback_is_this_machine_by_name_or_address(host, loopback):
    """RFC 6761 section 6.3, and what the kernel takes for it."""
    assert is_loopback(host) is loopback
