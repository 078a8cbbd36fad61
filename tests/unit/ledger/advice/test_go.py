"""Advice for Go."""

import subprocess

import pytest

from reuse_proxy.ledger.advice.go import GO
from tests.support.programs import need

ALL = [
    GO.connection_per_request,
    GO.abandons_body,
    GO.never_reads,
    GO.unpoolable_tunnels,
]


@pytest.mark.parametrize("advice", ALL)
def test_the_code_is_what_gofmt_would_write(advice):
    """Inside of a function, that is."""
    lines = "".join(f"\t{line}\n" for line in advice.code)
    program = f"package main\n\nfunc f() {{\n{lines}}}\n"

    done = subprocess.run(  # noqa: S603 - our own text
        [need("gofmt"), "-e"],
        input=program,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout == program


def test_an_abandoned_body_is_drained_and_go_1_27_told_of():
    """With the limits of what its Close does."""
    text = " ".join((*GO.abandons_body.steps, *GO.abandons_body.code))

    for word in ("io.Discard", "Go 1.27", "256 KiB", "50 ms", "resp.Body.Close()"):
        assert word in text


def test_a_body_that_is_never_closed_is_found_by_the_linter():
    """Which Go 1.27 does not help against."""
    text = " ".join(GO.never_reads.steps)

    assert "bodyclose" in text
    assert "Do not wait for Go 1.27" in text


def test_one_transport_keeps_enough_idle_connections():
    """Go keeps two for each host, and the proxy is one host to it."""
    assert "t.MaxIdleConnsPerHost = 32" in GO.connection_per_request.code
    assert "DisableKeepAlives" in GO.keep_alive
