"""Advice for PHP."""

import shutil
import subprocess

import pytest

from reuse_proxy.ledger.advice.php import PHP

ALL = [
    PHP.connection_per_request,
    PHP.abandons_body,
    PHP.never_reads,
    PHP.unpoolable_tunnels,
]


@pytest.mark.skipif(shutil.which("php") is None, reason="PHP is not installed")
@pytest.mark.parametrize("advice", ALL)
def test_the_code_is_php(tmp_path, advice):
    """As its own linter says."""
    program = tmp_path / "snippet.php"
    program.write_text("\n".join(("<?php", *advice.code)))

    done = subprocess.run(  # noqa: S603 - our own text
        ["php", "-l", str(program)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def test_handles_are_kept_or_share_and_since_8_5_outlive_the_request():
    """Before that nothing in PHP keeps a connection under FPM."""
    text = " ".join(PHP.connection_per_request.steps)

    for word in ("curl_reset()", "CURL_LOCK_DATA_CONNECT", "Guzzle", "FPM"):
        assert word in text
    assert "curl_share_init_persistent() (PHP 8.5)" in text
    assert "curl_reset($curl);" in "".join(PHP.connection_per_request.code)
