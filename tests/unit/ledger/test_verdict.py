"""Verdicts: thresholds, their order, and evidence in numbers."""

import pytest

from reuse_proxy.ledger.account import Account
from reuse_proxy.ledger.verdict import Thresholds, Verdict, judge
from reuse_proxy.report.document import LEAKS, VERDICTS

LEAKY = {
    "requests": 100,
    "connections": 100,
    "needless": 99,
}


def account(*, left=0, **counts):
    """An account with these counts."""
    made = Account("a", product="", label="a")
    for name, number in counts.items():
        setattr(made, name, number)
    made.aborts["body"] = left
    return made


def verdict(*, thresholds=None, **counts):
    """The verdict on an account with these counts."""
    return str(judge(account(**counts), thresholds or Thresholds()).verdict)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, "too_little_data"),
        ({"requests": 19, "connections": 1}, "too_little_data"),
        ({"requests": 20, "connections": 1}, "ok"),
        (LEAKY, "connection_per_request"),
        (LEAKY | {"needless": 40}, "connection_per_request"),
        (LEAKY | {"needless": 39}, "ok"),
        ({"requests": 240, "needless": 40}, "ok"),
        ({"requests": 19, "needless": 18}, "too_little_data"),
        ({"requests": 20, "needless": 19}, "connection_per_request"),
        (LEAKY | {"left": 10}, "abandons_body"),
        (LEAKY | {"left": 9}, "connection_per_request"),
        (LEAKY | {"left": 5, "unread": 5}, "abandons_body"),
        ({"requests": 19, "unread": 19}, "too_little_data"),
        (LEAKY | {"unread": 100, "stalls": 2}, "abandons_body"),
        (LEAKY | {"unread": 100, "stalls": 3}, "never_reads"),
        ({"tunnels": 20, "short_tunnels": 20}, "unpoolable_tunnels"),
        ({"tunnels": 19, "short_tunnels": 19}, "too_little_data"),
        ({"tunnels": 26, "short_tunnels": 20}, "ok"),
    ],
)
def test_an_account_is_judged_by_the_first_rule_that_applies(counts, expected):
    """At the thresholds and just below them."""
    assert verdict(**counts) == expected


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        (Thresholds(min_count=101), "ok"),
        (Thresholds(abandoned=0.05), "abandons_body"),
        (Thresholds(stalls=1), "never_reads"),
        (Thresholds(needless=1.0), "ok"),
    ],
)
def test_every_threshold_can_be_set(thresholds, expected):
    """One account, judged by different measures."""
    counts = LEAKY | {"requests": 101, "left": 6, "stalls": 1}

    assert verdict(thresholds=thresholds, **counts) == expected


def test_a_share_of_nothing_is_no_leak():
    """With a threshold that none reaches by having none."""
    assert verdict(requests=100, connections=1) == "ok"


@pytest.mark.parametrize(
    ("counts", "evidence"),
    [
        (
            LEAKY,
            (
                "100 requests came over 100 connections: 99 were opened in the place of"
                " one that it had closed or left idle."
            ),
        ),
        (
            LEAKY | {"close_requests": 90},
            (
                "100 requests came over 100 connections: 99 were opened in the place of"
                " one that it had closed or left idle; 90 requests asked for that with Connection: close."
            ),
        ),
        (
            LEAKY | {"left": 60, "unread": 30},
            (
                "90 of 100 responses were not read to the end: it left 60 while they were"
                " arriving and it closed 30 unread."
            ),
        ),
        (
            LEAKY | {"stalls": 68},
            (
                "68 of its 100 connections had to be reset because it did not read the"
                " response."
            ),
        ),
        (
            {"tunnels": 30, "short_tunnels": 29},
            (
                "30 tunnels were opened for https://, each with a connection to its"
                " origin; 29 ended within 5 seconds."
            ),
        ),
        (
            {"requests": 100, "connections": 1},
            "100 requests over 1 connection, 100.0 on each.",
        ),
        ({"requests": 1}, "1 request so far; it is judged from 20 on."),
    ],
)
def test_a_verdict_comes_with_its_evidence(counts, evidence):
    """One sentence with the numbers that count."""
    assert judge(account(**counts), Thresholds()).evidence == evidence


def test_the_report_knows_the_same_verdicts_in_the_same_order():
    """The worst first; what is a leak is one in both."""
    assert tuple(map(str, Verdict)) == VERDICTS
    assert tuple(str(found) for found in Verdict if found.is_leak) == LEAKS
