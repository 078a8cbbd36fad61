"""Fixes: every verdict that needs one has one, for every family."""

import itertools
import re

import pytest

from reuse_proxy.ledger.family import Family
from reuse_proxy.ledger.fixes import Fix, fix_for
from reuse_proxy.ledger.verdict import Verdict

LEAKS = [verdict for verdict in Verdict if verdict.is_leak]
ALL = list(itertools.product(LEAKS, Family))
CLOSING = [Verdict.CONNECTION_PER_REQUEST, Verdict.ABANDONS_BODY]


def fix_of(verdict, family, **more):
    """Return the fix for a leak."""
    fix = fix_for(verdict, family, **more)
    assert isinstance(fix, Fix)
    return fix


@pytest.mark.parametrize("family", Family)
def test_what_is_no_leak_needs_no_fix(family):
    """Neither does what nobody knows yet, nor a verdict of another version."""
    for verdict in ("ok", "too_little_data", "of_tomorrow"):
        assert fix_for(verdict, family, tunnels=True, close_requests=True) is None


@pytest.mark.parametrize(("verdict", "family"), ALL)
def test_a_leak_has_a_fix_that_is_short_and_well_formed(verdict, family):
    """One sentence, up to four steps, up to eight lines of code without a tab."""
    for tunnels, closing in itertools.product((False, True), repeat=2):
        fix = fix_of(verdict, family, tunnels=tunnels, close_requests=closing)

        assert fix.family == family
        assert 1 <= len(fix.steps) <= 4
        assert len(set(fix.steps)) == len(fix.steps)
        assert len(fix.code) <= 8
        assert len(fix.summary) <= 200
        assert all(len(step) <= 160 for step in fix.steps)
        assert all(len(line) <= 88 for line in fix.code)
        assert all(re.fullmatch(r"[A-Z].*[^.]\.", step) for step in fix.steps)
        assert re.fullmatch(r"\S.*; .*[^.]\.", fix.summary)
        text = (fix.summary, *fix.steps, *fix.code)
        assert all(line.isprintable() and line == line.rstrip() for line in text)


@pytest.mark.parametrize("family", Family)
def test_a_tunnel_has_the_ways_to_pool_it_and_whom_to_trust(family):
    """Reuse it in the program, let the proxy speak TLS, or let it open the tunnel."""
    fix = fix_of("unpoolable_tunnels", family)

    *_, originate, intercept = fix.steps
    assert "no proxy can pool" in fix.summary
    assert "originate_tls" in originate
    assert "intercept" in intercept
    assert "reuse-proxy ca show" in intercept


@pytest.mark.parametrize("verdict", CLOSING)
@pytest.mark.parametrize("family", Family)
def test_connection_close_is_the_first_thing_to_stop(verdict, family):
    """Said first, and only where most requests carry it."""
    plain = fix_of(verdict, family)
    closing = fix_of(verdict, family, close_requests=True)

    assert "Stop sending Connection: close" not in "".join(plain.steps)
    assert closing.steps[0].startswith("Stop sending Connection: close, which most of")
    assert closing.steps[1:] == plain.steps


@pytest.mark.parametrize("verdict", CLOSING)
def test_a_client_with_tunnels_is_told_that_those_are_not_cured(verdict):
    """The summary speaks of what the proxy can see."""
    plain = fix_of(verdict, Family.REQUESTS)
    tunnelling = fix_of(verdict, Family.REQUESTS, tunnels=True)

    assert tunnelling.steps[: len(plain.steps)] == plain.steps
    assert "https:// tunnels" in tunnelling.steps[-1]


def test_the_summary_is_honest_about_what_the_proxy_has_cured():
    """Upstream it is pooled; what is left is the program's own cost."""
    assert "reuse-proxy cures that upstream" in (
        fix_of("connection_per_request", Family.GO).summary
    )
    assert "drain_max_bytes" in fix_of("abandons_body", Family.GO).summary
    assert "client_stall_timeout" in fix_of("never_reads", Family.GO).summary
