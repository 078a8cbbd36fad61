"""`reuse-proxy demo`: measured for real, readable in a pipe, over in seconds."""

import io
import os
import re
import subprocess
import sys

import pytest

from reuse_proxy.commands import demo

ROW = re.compile(r"(?P<way>direct|through reuse-proxy) +(\d+) +(\d+) +[\d.]+ s")
COLOUR_VARIABLES = ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "COLUMNS")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Tell a lie."""
        return True


def run_in_a_pipe():
    """Run the command as a user does, with its output piped."""
    environ = {k: v for k, v in os.environ.items() if k not in COLOUR_VARIABLES}
    return subprocess.run(
        [sys.executable, "-m", "reuse_proxy", "demo"],
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
        env=environ,
    )


def rows(text):
    """Return (way, requests, connections) of every row."""
    return [
        (found["way"], int(found[2]), int(found[3]))
        for found in map(ROW.search, text.splitlines())
        if found
    ]


def test_a_leaking_client_costs_a_connection_per_request_without_the_proxy():
    """Both mistakes: as many connections as requests directly, a few through it."""
    done = run_in_a_pipe()

    ways = ["direct", "through reuse-proxy"] * 2
    assert (done.returncode, done.stderr) == (0, "")
    assert [way for way, _, _ in rows(done.stdout)] == ways
    for way, requests, connections in rows(done.stdout):
        assert requests == demo.REQUESTS
        if way == "direct":
            assert connections == requests
        else:
            assert 1 <= connections <= 4


def test_a_pipe_gets_plain_text_with_the_next_step():
    """No escape sequences, no cut-off cells, no lines over 80 columns."""
    text = run_in_a_pipe().stdout

    assert text.isascii()
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert "HTTP_PROXY=http://127.0.0.1:4128" in text.splitlines()[-1]


def test_a_terminal_gets_colour(monkeypatch):
    """The two ways differ in colour."""
    out = Terminal()
    for variable in COLOUR_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")

    code = demo.run(out)

    assert code == 0
    assert "\x1b[31m" in out.getvalue()
    assert "\x1b[32m" in out.getvalue()


@pytest.mark.parametrize("path", ["/small", "/big"])
async def test_the_origin_counts_each_connection_and_each_request(path):
    """Its count is what the table shows, so it must be right by itself."""
    async with demo.CountingOrigin() as origin:
        for _ in range(3):
            async with demo.request(origin, None, path) as reader:
                await reader.readuntil(b"\r\n")

        assert (origin.accepted, origin.requests) == (3, 3)
