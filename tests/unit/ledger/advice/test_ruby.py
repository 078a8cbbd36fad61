"""Advice for Ruby."""

import shutil
import subprocess

import pytest

from reuse_proxy.ledger.advice.ruby import RUBY

ALL = [
    RUBY.connection_per_request,
    RUBY.abandons_body,
    RUBY.never_reads,
    RUBY.unpoolable_tunnels,
]


@pytest.mark.skipif(shutil.which("ruby") is None, reason="Ruby is not installed")
@pytest.mark.parametrize("advice", ALL)
def test_the_code_is_ruby(advice):
    """As the interpreter says."""
    done = subprocess.run(
        ["ruby", "-c"],  # noqa: S607
        input="\n".join(advice.code),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_requests_belong_into_a_start_block():
    """Outside of one Net::HTTP closes after each."""
    assert "Net::HTTP.start" in RUBY.connection_per_request.steps[0]
    assert "Net::HTTP.start" in RUBY.connection_per_request.code[0]
    assert "net-http-persistent" in RUBY.connection_per_request.steps[1]
    assert "start" in RUBY.keep_alive
