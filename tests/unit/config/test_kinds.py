"""The kinds of values: what each reads, refuses and prints."""

from ipaddress import ip_network

import pytest

from reuse_proxy.config.address import Address
from reuse_proxy.config.kinds import (
    Addresses,
    Count,
    Networks,
    OneAddress,
    Ports,
    Size,
    Switch,
    Time,
)
from reuse_proxy.config.units import NotAllowedError

LOOPBACK = Address("127.0.0.1", 80)
TEN = ip_network("10.0.0.0/8")


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        (Count("things"), " 5 ", 5),
        (Count("things"), 5, 5),
        (Size(), 1500, 1500),
        (Size(), "1500", 1500),
        (Size(), "16KiB", 16384),
        (Size(), "1.5 MiB", 1572864),
        (Time(), 3, 3.0),
        (Time(), "2.5", 2.5),
        (Time(), "50ms", 0.05),
        (Time(), "30 s", 30.0),
        (Time(), "2m", 120.0),
        (Time(auto=True), "auto", None),
        (Time(low=0, auto=True), "0", 0.0),
        (Switch(), True, True),
        (Switch(), "Yes", True),
        (Switch(), "0", False),
        (OneAddress(), " 127.0.0.1:80 ", LOOPBACK),
        (OneAddress(), LOOPBACK, LOOPBACK),
        (Addresses(), "127.0.0.1:80, unix:a", (LOOPBACK, Address(path="a"))),
        (Addresses(), ["127.0.0.1:80", "127.0.0.1:80"], (LOOPBACK, LOOPBACK)),
        (Networks(), "10.0.0.0/8,10.0.0.1", (TEN, ip_network("10.0.0.1/32"))),
        (Networks(), "10.0.0.0/255.0.0.0", (TEN,)),
        (Networks(), [TEN, "::1"], (TEN, ip_network("::1/128"))),
        (Networks(), "none", ()),
        (Networks("loopback"), "loopback", ()),
        (Networks(), [], ()),
        (Ports(), "80, 443", (80, 443)),
        (Ports(), [80, "443"], (80, 443)),
        (Ports(), "none", ()),
    ],
)
def test_a_kind_reads_the_forms_of_every_source(kind, value, read):
    """Flags and variables give text, TOML gives numbers, booleans and arrays."""
    assert kind.parse(value) == read


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        (Count("things"), "many", "is not a whole number"),
        (Count("things"), "0", "is too small"),
        (Count("things"), 10**400, "is too large"),
        (Size(), "16MB", "is not a size"),
        (Size(), "16 kb", "is not a size"),
        (Size(), True, "is not a size"),
        (Size(), "0.3 KiB", "is not a whole number of bytes"),
        (Size(), "-1", "is too small"),
        (Size(), "2000 GiB", "is too large"),
        (Time(), "1h", "is not a time"),
        (Time(), "auto", "is not a time"),
        (Time(), None, "is not a time"),
        (Time(), "0", "is too small"),
        (Time(), float("nan"), "is too small"),
        (Time(), float("inf"), "is too large"),
        (Switch(), "maybe", "is neither true nor false"),
        (Switch(), 1, "is neither true nor false"),
        (OneAddress(), 4128, "is not an address"),
        (OneAddress(), "a:99999", "has a port above 65535"),
        (Addresses(), "", "names no address"),
        (Networks(), "10.0.0.0/33", "is not a network"),
        (Networks(), 10, "is not a network"),
        (Networks(), "10.0.0.1/8", r"has host bits set \(its network is 10.0.0.0/8\)"),
        (Networks("loopback"), "loopback, 10.0.0.0/8", "is not a network"),
        (Ports(), "80, http", "is not a whole number"),
        (Ports(), "0", "is too small"),
        (Ports(), [65536], "is too large"),
    ],
)
def test_a_kind_says_what_is_wrong_with_a_value(kind, value, problem):
    """Each refusal has a problem that continues a sentence."""
    with pytest.raises(NotAllowedError, match=problem):
        kind.parse(value)


def test_the_refusal_of_a_list_names_the_wrong_item():
    """Nobody has to look for the wrong one of thirty ports."""
    with pytest.raises(NotAllowedError) as caught:
        Ports().parse("80, 443, http")

    assert caught.value.value == "http"


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [
        (Count("sockets"), "give a number of sockets from 1 to 1000000"),
        (
            Size(),
            "give bytes, or a number with KiB, MiB or GiB, from 0 to 1024 GiB",
        ),
        (
            Time(auto=True),
            "give seconds, or a number with ms, s or m, from 1 ms to 86400 s, or auto",
        ),
        (
            Networks("loopback"),
            "give networks, comma separated (10.0.0.0/8, fd00::/8), or loopback",
        ),
    ],
)
def test_a_kind_says_what_is_allowed(kind, allowed):
    """The advice names units and bounds."""
    assert kind.allowed == allowed


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Time(auto=True), None, "auto"),
        (Switch(), False, "false"),
        (Addresses(), (LOOPBACK, LOOPBACK), "127.0.0.1:80, 127.0.0.1:80"),
        (Networks("loopback"), (), "loopback"),
        (Networks(), (TEN, TEN), "10.0.0.0/8, 10.0.0.0/8"),
        (Ports(), (), "none"),
        (Ports(), (80, 443), "80, 443"),
    ],
)
def test_a_printed_value_reads_back(kind, value, text):
    """What `show` prints is what `parse` reads."""
    shown = kind.show(value)

    assert shown == text
    assert kind.parse(shown) == value
