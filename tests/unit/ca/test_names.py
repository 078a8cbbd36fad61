"""Hosts as certificates spell them."""

from ipaddress import ip_address, ip_network

import pytest
from cryptography import x509

from reuse_proxy.ca.names import (
    alternative_name,
    parse_host,
    parse_permit,
)

LONGEST_LABEL = "a" * 63
LONGEST_NAME = ".".join([LONGEST_LABEL] * 3 + ["b" * 61])


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("example.com", "example.com"),
        ("EXAMPLE.com", "example.com"),
        ("localhost", "localhost"),
        ("a_b.my-host.example", "a_b.my-host.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("10.0.0.1.example", "10.0.0.1.example"),
        (LONGEST_NAME, LONGEST_NAME),
        ("127.0.0.1", ip_address("127.0.0.1")),
        ("::1", ip_address("::1")),
    ],
)
def test_a_host_is_a_name_or_an_address(text, host):
    """Names come in lower case, addresses as such."""
    assert parse_host(text) == host


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("a..b", "empty"),
        (".a", "empty"),
        ("example.com.", "empty"),
        (f"{LONGEST_LABEL}a.example", "over 63"),
        (f"{LONGEST_NAME}b", "at most 253"),
        ("*.example.com", "wildcard"),
        ("*", "wildcard"),
        ("bücher.example", "xn-- form"),
        ("a b.example", "only letters"),
        ("a\n.example", "only letters"),
        ("example.com\n", "only letters"),
        ("example.com\0.evil.example", "only letters"),
        ("[::1]", "only letters"),
        ("example.com:443", "only letters"),
        ("fe80::1%eth0", "zone"),
        ("127.1", "wrong IP address"),
        ("300.0.0.1", "wrong IP address"),
        ("2130706433", "wrong IP address"),
    ],
)
def test_what_cannot_stand_in_a_certificate_is_refused(text, problem):
    """The reason ends a sentence."""
    with pytest.raises(ValueError, match=problem):
        parse_host(text)


@pytest.mark.parametrize(
    ("text", "permit"),
    [
        ("example.com", "example.com"),
        ("10.0.0.0/8", ip_network("10.0.0.0/8")),
        ("127.0.0.1", ip_network("127.0.0.1/32")),
        ("fd00::/8", ip_network("fd00::/8")),
    ],
)
def test_a_constraint_is_a_name_or_a_network(text, permit):
    """An address is a network of one."""
    assert parse_permit(text) == permit


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("10.0.0.1/8", "no network"),
        ("example.com/8", "no network"),
        (".example.com", "empty"),
        ("*.example.com", "wildcard"),
    ],
)
def test_a_constraint_that_could_mean_something_else_is_refused(text, problem):
    """Bits beyond the prefix, or the dots of other tools."""
    with pytest.raises(ValueError, match=problem):
        parse_permit(text)


def test_a_host_becomes_the_kind_of_name_it_is():
    """An address in a DNS name would be believed by nobody."""
    address = ip_address("::1")

    assert alternative_name("a.example") == x509.DNSName("a.example")
    assert alternative_name(address) == x509.IPAddress(address)
