"""A line of the access log: its forms, and that nobody can forge another."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_proxy.downstream.entry import Entry

DOCUMENT = (Path(__file__).parents[3] / "docs/logs.md").read_text("utf-8")
TIME, CLIENT = "2026-03-01T12:00:00.042Z", "curl at 127.0.0.1"
FULL = Entry(
    time=TIME,
    client=CLIENT,
    method="GET",
    origin="http://a.test:80",
    path="/x?y=1",
    status=200,
    bytes=178,
    received=133,
    via="new",
    why_not_reused="first",
    queue=0.001043,
    connect=0.000484,
    total=0.00312,
    error="connection_terminated",
    aborted="body",
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
)
COLUMNS = 14
SENT = st.one_of(
    st.text(),
    st.binary().map(lambda data: data.decode("latin-1")),
    st.sampled_from(['"', "\\", "\n", "\r\n{}", "\x7f", "\x1b[2J", "\u202e", "é", " "]),
)
SECONDS = st.floats(0, 1e6)
LINES = st.builds(
    Entry,
    time=st.just(TIME),
    client=SENT,
    method=st.none() | SENT,
    origin=st.none() | SENT,
    path=st.none() | SENT,
    via=st.just("reused"),
    trace_id=st.none() | SENT,
    queue=st.none() | SECONDS,
    connect=st.none() | SECONDS,
    total=st.none() | SECONDS,
)


def columns():
    """The names of the columns, as the document lists them."""
    listed = re.search(r"`(time status [^`]*)`", DOCUMENT)
    assert listed
    return listed[1].split()


def test_json_has_every_key_in_order():
    """The names are those of the fields, the values what they are."""
    read = json.loads(FULL.as_json())

    assert list(read) == list(Entry._fields)
    assert read == FULL._asdict()


def test_json_has_every_key_also_where_nothing_is_known():
    """A reader need not ask whether a key is there."""
    read = json.loads(Entry(TIME, CLIENT).as_json())

    assert list(read) == list(Entry._fields)
    assert read["origin"] is read["queue"] is read["path"] is None


def test_text_has_a_column_for_each_field_and_the_client_last():
    """The document says which is which."""
    words = FULL.as_text().decode().rstrip("\n").split(" ", COLUMNS - 1)

    assert len(columns()) == COLUMNS
    assert dict(zip(columns(), words, strict=True)) == {
        "time": TIME,
        "status": "200",
        "method": "GET",
        "url": "http://a.test:80/x?y=1",
        "bytes": "178",
        "received": "133",
        "via": "new",
        "why_not_reused": "first",
        "queue": "0.001043",
        "connect": "0.000484",
        "total": "0.003120",
        "error": "connection_terminated",
        "aborted": "body",
        "client": CLIENT,
    }


@pytest.mark.parametrize(
    ("origin", "path", "url"),
    [
        ("http://a.test:80", None, "http://a.test:80"),
        (None, "/", "/"),
        (None, None, "-"),
        ("", "", "-"),
    ],
)
def test_what_is_not_known_is_a_dash_in_text(origin, path, url):
    """So that columns can be counted."""
    line = Entry(TIME, CLIENT, origin=origin, path=path).as_text().decode()

    assert line == f"{TIME} 0 - {url} 0 0 none - - - - - - {CLIENT}\n"


def test_the_document_has_a_row_for_each_field_in_order():
    """And for no other one."""
    table = DOCUMENT.split("| field | |", 1)[1].split("\n\n", 1)[0]

    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(Entry._fields)


@given(entry=LINES)
def test_json_is_one_line_of_printable_ascii_that_reads_back(entry):
    """Whatever a client has sent."""
    line = entry.as_json()

    assert re.fullmatch(rb"[ -~]+\n", line)
    assert json.loads(line) == entry._asdict()


@given(entry=LINES)
def test_text_is_one_line_of_printable_ascii_with_all_columns(entry):
    """Neither a space nor a quote in what was sent moves a column."""
    line = entry.as_text()

    assert re.fullmatch(rb"[ !#-~]+\n", line)
    words = line.decode().rstrip("\n").split(" ", COLUMNS - 1)
    assert len(words) == COLUMNS
    assert words[0] == TIME
    assert words[6] == "reused"


@pytest.mark.parametrize(
    ("sent", "escaped"),
    [
        ('a"b', r"a\x22b"),
        ("a\\b", r"a\x5cb"),
        ("a b", r"a\x20b"),
        ("\x00\x1b[31m\r\n\x7f", r"\x00\x1b[31m\x0d\x0a\x7f"),
        ("é", r"\xc3\xa9"),
        ("\u202e", r"\xe2\x80\xae"),
    ],
)
def test_text_escapes_as_nginx_does(sent, escaped):
    r"""Each byte is \xNN; in the client's name a space may stay."""
    line = Entry(TIME, sent, path=sent).as_text().decode()

    assert line.split(" ")[3] == escaped
    assert line.endswith(f" {escaped}\n".replace(r"\x20", " "))
