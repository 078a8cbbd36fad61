"""Requests out of a client's bytes, without a connection."""

import random
from types import SimpleNamespace
from typing import Any

import pytest

from reuse_proxy.downstream.intake import MAX_QUEUED, Intake
from reuse_proxy.downstream.refusals import MAX_FIELDS, MAX_HEAD_BYTES

HEAD = b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
GET = HEAD + b"\r\n"
POST = b"POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: %b\r\n"


class Client:
    """Who the requests are of."""

    def __init__(self):
        self.refused: list[Exception] = []
        self.server = SimpleNamespace(note_refusal=self.refused.append)

    def read_on(self):
        """There is room in a body again."""

    def await_body(self, body):
        """A body is waited for, or no longer."""


@pytest.fixture
def intake():
    """An intake that nothing has been fed to."""
    return make_intake()


def make_intake():
    """Make one, of a client that is none."""
    client: Any = Client()
    return Intake(client)


def told(intake):
    """Method, target and body of what is queued."""
    return [
        (request.method, request.target, request.body.take() if request.body else b"")
        for request in intake.requests
    ]


def test_a_stream_means_the_same_however_it_is_cut(intake):
    """Heads, lengths, chunks with extensions, trailers, blank lines, an idle offer."""
    stream = (
        GET
        + (POST + b"Content-Length: 5\r\n\r\nhello")
        + (CHUNKED + b"2;a=b\r\nab\r\n3\r\ncde\r\n0\r\nX: y\r\n\r\n")
        + b"\r\n"
        + (HEAD + UPGRADE % b"h2c" + b"\r\n")
        + (POST + UPGRADE % b"h2c" + b"Content-Length: 3\r\n\r\nabc")
        + (POST + UPGRADE % b"foo" + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        + GET
    )
    intake.feed(stream)
    whole = told(intake)
    assert [body for _, _, body in whole] == [
        *(b"", b"hello", b"abcde", b"", b"abc", b"", b""),
    ]

    for seed in range(50):
        chance = random.Random(seed)  # noqa: S311
        cut, at = make_intake(), 0
        while at < len(stream):
            size = chance.choice((1, 2, 3, 10, 60))
            cut.feed(stream[at : at + size])
            at += size
        assert told(cut) == whole, seed
        assert (cut.sealed, cut.head_bytes) == (False, 0)


def test_a_long_pipeline_is_read_as_far_as_there_is_room(intake):
    """At most one piece beyond the limit is in memory as requests."""
    count = 10_000
    intake.feed(GET * count)
    seen = 0
    while intake.requests:
        assert len(intake.requests) < MAX_QUEUED + 4096 / len(GET) + 1
        assert intake.is_full()
        seen += len(intake.requests)
        intake.requests.clear()
        intake.read_on()

    assert seen == count
    assert not intake.is_full()


def test_what_follows_a_switch_is_held_and_bounded(intake):
    """It is another protocol's, whatever it looks like."""
    intake.feed(HEAD + UPGRADE % b"websocket" + b"\r\n" + GET)
    intake.feed(b"x" * 70_000)

    assert len(intake.requests) == 1
    assert intake.held == GET + b"x" * 70_000
    assert intake.sealed
    assert intake.is_full()


@pytest.mark.parametrize("size", [64 * 1024, 200_000])
def test_what_follows_a_switch_in_many_bytes_is_held_too(intake, size):
    """They are more than are parsed in one go."""
    behind = b"y" * size
    intake.feed(b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n" + behind)

    assert intake.held == behind


def test_a_head_without_end_is_refused_within_its_limit(intake):
    """However it is cut, and whatever stands in it."""
    intake.feed(HEAD)
    for _ in range(MAX_HEAD_BYTES // 1000 + 1):
        intake.feed(b"X-Filler: " + b"x" * 988 + b"\r\n")

    assert intake.error.status == 431
    assert intake.sealed
    assert intake.head_bytes == 0


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (HEAD + b"X: y\r\n" * MAX_FIELDS + b"\r\n", 431),
        (HEAD + b"X: " + b"y" * 33_000 + b"\r\n\r\n", 431),
        (b"GET http://a.test/" + b"x" * 17_000 + b" HTTP/1.1\r\n", 414),
        (b"BREW http://a.test/ HTTP/1.1\r\n", 501),
        (GET + b"BREW http://a.test/ HTTP/1.1\r\n\r\n", 501),
        (b"no request\r\n", 400),
    ],
)
def test_what_is_refused_is_told_behind_what_came_before(intake, raw, status):
    """As an error that ends the connection; nothing more is read."""
    before = raw.startswith(GET) and len(raw) > len(GET)
    intake.feed(raw)
    intake.feed(GET)

    assert len(intake.requests) == before
    assert intake.error.status == status
    assert intake.sealed


def test_a_body_that_is_malformed_fails_alone(intake):
    """Its reader hears of it; the head has been taken long since."""
    intake.feed(CHUNKED + b"2\r\nab\r\n")
    intake.feed(b"nonsense\r\n")
    (request,) = intake.requests

    assert request.body.error.status == 400
    assert intake.error is None
    assert intake.sealed


def test_chunk_extensions_without_end_fail_the_body(intake):
    """They carry no content, and are counted while none comes."""
    intake.feed(CHUNKED + b"2;")
    for _ in range(20):
        intake.feed(b"x" * 60_000)
    (request,) = intake.requests

    assert "without end" in str(request.body.error)


def test_what_follows_a_last_request_is_nothing_to_us(intake):
    """No error is told for it."""
    intake.feed(HEAD + b"Connection: close\r\n\r\n" + GET)

    assert len(intake.requests) == 1
    assert intake.error is None
    assert intake.sealed


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
@pytest.mark.parametrize("size", [b"Content-Length: 5", b"Content-Length: 0"])
def test_the_body_of_a_last_request_to_upgrade_is_read(intake, protocol, size):
    """The parser takes no more bytes behind Connection: close; another one does."""
    body = b"hello" if size.endswith(b"5") else b""
    fields = b"Connection: close, Upgrade\r\nUpgrade: " + protocol + b"\r\n"
    intake.feed(POST + fields + size + b"\r\n\r\n" + body + GET)
    (request,) = intake.requests

    assert request.asked_to_close
    assert request.complete
    assert (request.body.take() if request.body else b"") == body
    assert intake.error is None
    assert intake.sealed


def test_many_offers_in_a_row_are_requests_in_a_row(intake):
    """However many come in one piece."""
    offer = b"GET /?HTTP/1.1\r\nHost:\r\nUpgrade:x2\r\n".replace(b"?", b" ")
    offer = offer.replace(b"x2", b"h2c") + b"Connection:upgrade\r\n\r\n"
    seen = 0
    intake.feed(offer * 2000)
    while intake.requests:
        seen += len(intake.requests)
        intake.requests.clear()
        intake.read_on()

    assert seen == 2000


def test_a_head_is_counted_from_its_own_beginning(intake):
    """What came before it in the same bytes is not of it."""
    body = b"x" * 60_000
    stream = POST + b"Content-Length: 60000\r\n\r\n" + body + HEAD
    intake.feed(stream[:20])
    intake.feed(stream[20:])
    for _ in range(8):
        intake.feed(b"X-Filler: " + b"y" * 988 + b"\r\n")
    intake.feed(b"\r\n")

    assert intake.error is None
    assert len(intake.requests) == 2
