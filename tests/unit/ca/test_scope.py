"""What a CA may sign for: as it is written, read, applied and said."""

import pytest

from reuse_proxy.ca.names import parse_host, parse_permit
from reuse_proxy.ca.scope import Scope, constraints, covers


@pytest.mark.parametrize(
    ("permits", "excluded"),
    [
        (["a.example"], ["0.0.0.0/0", "::/0"]),
        (["10.0.0.0/8"], [""]),
        (["a.example", "fd00::/8"], []),
    ],
)
def test_a_kind_without_a_constraint_is_excluded(permits, excluded):
    """RFC 5280 would leave every address open to a CA of names, and the reverse."""
    built = constraints(map(parse_permit, permits))

    assert [str(name.value) for name in built.permitted_subtrees or ()] == permits
    assert [str(name.value) for name in built.excluded_subtrees or ()] == excluded


@pytest.mark.parametrize(
    ("host", "permitted"),
    [
        ("example.com", True),
        ("a.b.example.com", True),
        ("badexample.com", False),
        ("com", False),
        ("example.com.evil.example", False),
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("fd00::1", True),
        ("::1", False),
    ],
)
def test_a_constraint_covers_whole_labels_and_addresses(host, permitted):
    """A name covers itself and all below it."""
    names = ("example.com", "10.0.0.0/8", "fd00::/8")

    assert covers(names, parse_host(host)) is permitted


def test_every_name_and_every_address_can_be_excluded():
    """As `constraints` does with a kind of which nothing is permitted."""
    every = ("", "0.0.0.0/0", "::/0")

    assert all(covers(every, parse_host(host)) for host in ("a", "10.0.0.1", "::1"))
    assert not covers(("", "::/0"), parse_host("10.0.0.1"))
    assert not covers(("0.0.0.0/0",), parse_host("a.example"))


@pytest.mark.parametrize(
    ("permitted", "excluded", "words"),
    [
        ((), (), "every host"),
        (("a", "b"), ("0.0.0.0/0", "::/0"), "a, b only"),
        ((), ("a", "b"), "every host, but not for a, b"),
        (("a",), ("b.a", "::/0"), "a only, but not for b.a"),
    ],
)
def test_what_a_ca_signs_for_is_said_in_words(permitted, excluded, words):
    """What it excludes as a matter of course is not worth a word."""
    assert str(Scope(permitted, excluded)) == words
