"""Limits: how they are read, and which reports keep them."""

from fractions import Fraction

import pytest

from reuse_proxy.child.gate import Gate, reuse_share, upstream_limit
from tests.unit.child.reports import client, report

LEAK = client("leak at 127.0.0.1", requests=50, connections=50, upstream_opened=3)
GOOD = client("good at 127.0.0.1", requests=50, connections=1, upstream_opened=1)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("0", 0),
        ("1", 1),
        ("1.0", 1),
        ("0.9", Fraction(9, 10)),
        (".5", Fraction(1, 2)),
        ("90%", Fraction(9, 10)),
        ("99.5%", Fraction(995, 1000)),
        ("100%", 1),
    ],
)
def test_a_share_is_read_exactly(text, share):
    """As a fraction or as a percentage."""
    assert reuse_share(text) == share


@pytest.mark.parametrize(
    "text", ["", "90", "1.1", "101%", "-0.1", "nan", "inf", "1e-1", "½", "%", "."]
)
def test_what_is_no_share_is_refused(text):
    """The sentence says what to give."""
    with pytest.raises(ValueError, match="give 0 to 1, or 0% to 100%"):
        reuse_share(text)


def test_a_limit_is_a_whole_number():
    """Zero means that no connection may be opened at all."""
    assert upstream_limit("0") == 0
    assert upstream_limit("12") == 12


@pytest.mark.parametrize("text", ["", "-1", "1.5", "many", "²"])
def test_what_is_no_limit_is_refused(text):
    """The sentence says what to give."""
    with pytest.raises(ValueError, match="give 0 or more"):
        upstream_limit(text)


def test_without_limits_nothing_is_broken():
    """Not even by a report of nothing."""
    assert Gate().broken(report(LEAK)) == []
    assert Gate().broken(report()) == []


def test_connections_to_origins_are_counted_over_all_clients():
    """Up to the limit all is well."""
    assert Gate(max_upstream=4).broken(report(LEAK, GOOD)) == []

    assert Gate(max_upstream=3).broken(report(GOOD, LEAK)) == [
        (
            "The command needed 4 connections to origins, more than --max-upstream 3;"
            " the worst client is leak at 127.0.0.1: 3 of them."
        )
    ]


def test_a_single_connection_can_be_too_many():
    """Grammar is kept."""
    (sentence,) = Gate(max_upstream=0).broken(report(GOOD))

    assert sentence.startswith("The command needed 1 connection to origins,")


def test_reuse_is_that_of_the_clients():
    """What they opened to us, whatever the origin saw."""
    assert Gate(min_reuse=Fraction(49, 100)).broken(report(LEAK, GOOD)) == []

    assert Gate(min_reuse=Fraction(1, 2)).broken(report(GOOD, LEAK)) == [
        (
            "The command reused its connections for 49% of 100 requests, less than"
            " --min-reuse 50%; the worst client is leak at 127.0.0.1: 50 connections"
            " for 50 requests."
        )
    ]


def test_a_limit_that_is_met_exactly_is_kept():
    """No rounding of floats in between: 90 % of 10 requests on one connection."""
    ten = client(requests=10, connections=1)

    assert Gate(min_reuse=reuse_share("0.9")).broken(report(ten)) == []
    assert Gate(min_reuse=reuse_share("90%")).broken(report(ten)) == []


def test_a_share_just_below_a_limit_does_not_look_like_it():
    """It is rounded down."""
    nearly = client(requests=100_000, connections=1001)

    (sentence,) = Gate(min_reuse=reuse_share("99%")).broken(report(nearly))

    assert "for 98.9% of 100,000 requests, less than --min-reuse 99%" in sentence


def test_a_tunnel_is_a_request_that_reused_nothing():
    """It came on a connection of its own."""
    half = client(requests=10, connections=10, tunnels=9)

    (sentence,) = Gate(min_reuse=reuse_share("50%")).broken(report(half))

    assert "for 47.3% of 19 requests" in sentence


def test_connections_without_a_request_do_not_make_less_than_nothing():
    """As of a client that looks whether the port is open."""
    (sentence,) = Gate(min_reuse=reuse_share("1%")).broken(
        report(client(requests=1, connections=5))
    )

    assert "for 0% of 1 request," in sentence


@pytest.mark.parametrize("clients", [(), (client(connections=3),)])
def test_nothing_asked_cannot_be_judged(clients):
    """It would be kept by a command that goes around the proxy."""
    assert Gate(min_reuse=Fraction()).broken(report(*clients)) == [
        (
            "--min-reuse 0% cannot be judged: the command made no request through the"
            " proxy."
        )
    ]


def test_each_limit_has_its_sentence():
    """In the order of the flags."""
    broken = Gate(max_upstream=0, min_reuse=Fraction(1)).broken(report(GOOD))

    assert ["--max-upstream" in broken[0], "--min-reuse" in broken[1]] == [True, True]
