"""A report for people: the whole page, and what hostile names cannot do to it."""

import io
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_proxy.report.document import VERDICTS
from reuse_proxy.report.text import writable, write
from reuse_proxy.report.words import WORDS, clean
from tests.support.reports import (
    PER_REQUEST_FIX,
    client,
    origin,
    report,
    sample,
)

PAGE = """\
5 clients made 2,310 requests and 320 tunnels over 1,897 connections; reuse-proxy opened 341 to 3
origins, which saved an estimated 1,593 connections and 41.6 s of handshakes. 3 clients leak,
Go-http-client at 10.0.0.7 worst.
Counted over 2 h 1 min.

CLIENTS THAT LEAK

Go-http-client at 10.0.0.7: leaves responses unread (abandons_body)
   why  120 of 450 responses were not read to the end: it left 115 while they were arriving and it
        closed 5 unread.
   fix  Read the body to its end, then close it.
        1. Also where only the status is of interest, and after an error.

        defer func() {
            io.Copy(io.Discard, response.Body)
            response.Body.Close()
        }()

billing-cron: opens a connection per request (connection_per_request)
   why  1600 requests came over 1600 connections: 1600 carried one request each.
   who  pid 4711: python3 billing/cron.py --tenant north
        pid 4712: python3 billing/cron.py --tenant south
   fix  Keep one requests.Session for the life of the program.
        1. Make it outside of the loop: a call of `requests.get` opens a connection of its own, and
           closes it again.
        2. Send every request with it.

        session = requests.Session()
        for url in urls:
            response = session.get(url, timeout=10)

curl at 127.0.0.1: opens short tunnels, which are not pooled (unpoolable_tunnels)
   why  320 tunnels were opened for https://, each with a connection to its origin; 311 ended within
        5 seconds.

OTHER CLIENTS

                                            requests per
   client            requests  connections    connection  verdict
   web                    250            5          50.0  ok
   node at 10.0.0.9        10            2           5.0  too little data yet

ORIGINS

                                          connections                        saved
   origin                       requests       opened  reused  tunnels  (estimate)
   https://api.example.com:443         0          320       0      320           0
   http://prices.internal:8080     1,840            6   1,834        0       1,590
   http://files.internal             470           15     449        0           3

TUNNELS THAT COULD HAVE BEEN POOLED

   Either of two flags of serve would pool them: the first where the program may ask for http://,
   the second where it keeps https:// and trusts the local CA.

   api.example.com:443: 320 tunnels, 311 shorter than 5 seconds
        --originate-tls api.example.com
        --intercept api.example.com
"""


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Tell a lie."""
        return True


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 90 columns that shows colours."""
    for variable in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "90")
    return Terminal()


def piped(made):
    """Write a report into a pipe."""
    out = io.StringIO()
    write(made, out)
    return out.getvalue()


def without_colours(text):
    """Take the colours away, and nothing else."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def test_the_whole_page_in_a_pipe():
    """Plain, at most 100 columns wide, with everything in it."""
    text = piped(sample())

    assert text == PAGE
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_a_pipe_stays_plain_though_a_variable_asks_for_colour(monkeypatch, variable):
    """Nor does the width of a terminal matter to it."""
    monkeypatch.setenv(variable, "1")
    monkeypatch.setenv("COLUMNS", "40")

    assert piped(sample()) == PAGE


def test_a_terminal_gets_colours_and_its_own_width(terminal):
    """The same words otherwise."""
    write(sample(), terminal)

    text = without_colours(terminal.getvalue())
    assert "\x1b[1;31mGo-http-client at 10.0.0.7\x1b[0m" in terminal.getvalue()
    assert 80 < max(map(len, text.splitlines())) <= 90
    assert text.split() == PAGE.split()


def test_a_narrow_terminal_folds_no_number(terminal, monkeypatch):
    """It folds whole lines instead."""
    monkeypatch.setenv("COLUMNS", "20")

    write(report(origins=[origin("http://a.example", requests=1_234_567)]), terminal)

    assert "1,234,567" in terminal.getvalue()


def test_empty_sections_are_left_out():
    """The sentence, and the time, are all that there is."""
    assert piped(report(seconds=12.4)) == (
        "No request has come through the proxy.\nCounted over 12 s.\n"
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(59.4, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h 0 min")],
)
def test_the_time_is_told_in_units_that_suit_it(seconds, words):
    """Seconds, minutes, hours."""
    assert piped(report(seconds=seconds)).endswith(f"Counted over {words}.\n")


def test_clients_are_just_clients_where_none_leaks():
    """They are no others then."""
    text = piped(report(clients=[client("web")]))

    assert "\nCLIENTS\n" in text
    assert "OTHER" not in text


def test_a_leak_without_a_fix_or_a_process_is_told_all_the_same():
    """Name, verdict and evidence."""
    text = piped(report(clients=[client("web", "never_reads", evidence="So it is.")]))

    assert text.endswith(
        "web: does not read its responses (never_reads)\n   why  So it is.\n"
    )


@pytest.mark.parametrize("part", ["leaks", "clients", "origins", "tunnels"])
def test_twenty_are_shown_and_the_rest_is_counted(part):
    """Whoever wants all takes the document."""
    tunnel: dict[str, Any] = {
        "tunnels": 1,
        "short": 1,
        "origination": "",
        "interception": "",
    }
    makers: dict[str, Any] = {
        "leaks": lambda n: {"clients": [client(x, "never_reads") for x in n]},
        "clients": lambda n: {"clients": [client(x) for x in n]},
        "origins": lambda n: {"origins": [origin(x) for x in n]},
        "tunnels": lambda n: {"tunnels": [{"origin": x} | tunnel for x in n]},
    }
    names = [f"number-{number:02}" for number in range(1, 33)]

    text, all_there = (piped(report(**makers[part](n))) for n in (names, names[:20]))

    assert set(re.findall(r"number-\d\d", text)) == set(names[:20])
    assert text.splitlines()[-1].strip() == "... and 12 more; --json has all of them."
    assert "more" not in all_there


def test_long_names_are_folded_and_not_cut_off():
    """Every character is there."""
    name = "".join(f"[{number}]" for number in range(100))
    text = piped(report(clients=[client(name)], origins=[origin(name)]))

    found = "".join(
        re.findall(r"^   ((?:\d*\]?\[?\d*\]?)+)(?: |$)", text, re.MULTILINE)
    )
    assert found.count("[57]") == 2
    assert found == name * 2
    assert max(map(len, text.splitlines())) <= 100


def test_code_is_not_wrapped():
    """Somebody copies it."""
    line = "response = " + "x" * 200
    fix = PER_REQUEST_FIX | {"code": [f"\t{line}"]}

    text = piped(report(clients=[client("a", "never_reads", fix=fix)]))

    assert f"\n{' ' * 12}{line}\n" in text


def test_names_are_no_markup():
    """Brackets and colons are shown as they are."""
    name = "[red]a[/] [link=http://x]b[/] :skull:"
    entries = [client(name), client(name, "never_reads")]

    text = piped(report(clients=entries, summary=name))

    assert text.count(name) == 3
    assert "\x1b" not in text


@given(st.text(max_size=30))
def test_nothing_that_steers_a_terminal_gets_out(name):
    """Wherever it came from; and each line stays one."""
    dirty = f"{name}\x1b]0;gone\x07\x9b2J\r\n\u202e\ud800"
    fix = {"family": "", "summary": dirty, "steps": [dirty], "code": [dirty]}
    seen = [{"pid": 1, "command": dirty}]
    leak = client(dirty, "never_reads", evidence=dirty, fix=fix, processes=seen)
    tunnel = {"origin": dirty, "tunnels": 2, "short": 1}
    flags = {"origination": dirty, "interception": dirty}

    text = piped(
        report(
            summary=dirty,
            clients=[leak, client(dirty, dirty)],
            origins=[origin(dirty)],
            tunnels=[tunnel | flags],
        )
    )

    kinds = {unicodedata.category(char) for char in text if char != "\n"}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def test_what_is_not_printable_is_shown_as_an_escape():
    """One can see what was sent."""
    assert clean("a\x1b[2J\n\u202eé\ud800") == r"a\x1b[2J\n\u202eé\ud800"


def test_a_stream_gets_what_its_encoding_has_bytes_for():
    """Instead of a traceback."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")

    write(report(summary="Zoë leaks."), out)
    out.flush()

    assert out.buffer.getvalue().startswith(b"Zo\\xeb leaks.\n")
    assert writable("Zoë", io.StringIO()) == "Zoë"


def test_every_verdict_has_words():
    """For people; the machine's name stands beside those that leak."""
    assert tuple(WORDS) == VERDICTS
