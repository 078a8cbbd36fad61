"""Listener addresses: what is read, refused, printed and taken for loopback."""

import pytest

from reuse_proxy.config.address import Address


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:4128",
        "localhost:0",
        "proxy.example-1.com:65535",
        "[::1]:4128",
        "[fe80::1%lo]:1",
        "unix:/run/proxy.sock",
        "unix:proxy.sock",
    ],
)
def test_an_address_prints_as_it_was_written(text):
    """Reading and printing an address gives the same text."""
    address = Address.parse(text)

    assert str(address) == text


def test_the_brackets_are_no_part_of_an_ipv6_host():
    """A socket call gets the bare literal."""
    address = Address.parse("[::1]:80")

    assert address == Address("::1", 80)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not an address"),
        ("4128", "is not an address"),
        (":4128", "is not an address"),
        ("*:4128", "is not an address"),
        ("::1:4128", "is not an address"),
        ("127.0.0.1", "is not an address"),
        ("127.0.0.1:http", "is not an address"),
        ("http://127.0.0.1:80", "is not an address"),
        ("127.0.0.1:65536", "has a port above 65535"),
        ("127.1:80", "has a wrong IP address"),
        ("300.0.0.1:80", "has a wrong IP address"),
        ("[127.0.0.1]:80", "has a wrong IP address"),
        ("unix:", "names no socket file"),
        ("unix:/" + "a" * 107, "is longer than the 107 bytes of a socket path"),
    ],
)
def test_what_is_no_address_is_refused(text, problem):
    """The error says what is wrong."""
    with pytest.raises(ValueError, match=problem):
        Address.parse(text)


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("LocalHost:1", True),
        ("unix:/run/proxy.sock", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("localhost.example.com:1", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(text, loopback):
    """Unix sockets and localhost count; unspecified addresses and other names do not."""
    address = Address.parse(text)

    assert address.is_loopback is loopback
