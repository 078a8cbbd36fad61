"""Advice for Perl, .NET, and programs of which nothing is known."""

import shutil
import subprocess

import pytest

from reuse_proxy.ledger.advice.others import DOTNET, PERL, UNKNOWN


@pytest.mark.skipif(shutil.which("perl") is None, reason="Perl is not installed")
@pytest.mark.parametrize("advice", [PERL.connection_per_request, PERL.never_reads])
def test_the_code_for_perl_compiles(advice):
    """Under strict."""
    program = "\n".join(("use strict; our ($url, $file);", *advice.code))
    if "my $ua" not in program:
        program = f"my $ua;{program}"

    done = subprocess.run(
        ["perl", "-c"],  # noqa: S607
        input=program,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_perl_has_to_be_told_to_keep_connections():
    """LWP sends Connection: close by itself."""
    assert "keep_alive => 10" in PERL.connection_per_request.steps[0]
    assert "keep_alive => 10" in PERL.keep_alive


def test_dotnet_is_told_of_one_client_and_of_its_own_draining():
    """Its limits are 1 MiB and 2 seconds."""
    assert "static HttpClient" in DOTNET.connection_per_request.steps[0]
    assert "MaxResponseDrainSize" in " ".join(DOTNET.abandons_body.steps)


def test_the_unknown_get_advice_without_code():
    """Nobody knows which language it would have to be in."""
    for advice in (UNKNOWN.connection_per_request, UNKNOWN.abandons_body):
        assert advice.steps
        assert advice.code == ()
