"""Advice for curl and Wget."""

import subprocess

import pytest

from reuse_proxy.ledger.advice.shell import CURL, WGET


@pytest.mark.parametrize("guide", [CURL, WGET])
def test_the_code_is_read_by_a_shell(guide):
    """With POSIX syntax."""
    for advice in (guide.connection_per_request, guide.never_reads):
        done = subprocess.run(
            ["sh", "-n"],  # noqa: S607
            input="\n".join(advice.code),
            capture_output=True,
            text=True,
            check=False,
        )

        assert advice.code
        assert done.stderr == ""


def test_the_config_that_curl_is_given_is_one_it_reads():
    """A line for each URL, quoted."""
    program = "\n".join(CURL.connection_per_request.code)
    program = program.replace("curl -sSf --config -", "cat")

    done = subprocess.run(  # noqa: S603 - our own text
        ["sh", "-c", f"urls='http://a.test/ http://b.test/'\n{program}"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == 'url = "http://a.test/"\nurl = "http://b.test/"\n'


@pytest.mark.parametrize(("guide", "name"), [(CURL, "curl"), (WGET, "wget")])
def test_a_loop_is_told_that_it_may_stay(guide, name):
    """The proxy shares the upstream connections among processes already."""
    first, *_, last = guide.connection_per_request.steps

    assert first.startswith(f"Give one {name} all the URLs")
    assert last.startswith("Or leave it as it is: reuse-proxy shares")
