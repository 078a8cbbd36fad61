"""What a response's fields tell, and which of them pass."""

import pytest

from reuse_proxy.errors import UpstreamProtocolError
from reuse_proxy.http.response_fields import read_response_fields


@pytest.mark.parametrize(
    ("value", "close", "keep_alive"),
    [
        (b"close", True, False),
        (b"Close", True, False),
        (b"keep-alive", False, True),
        (b"Keep-Alive, close", True, True),
        (b"x-close", False, False),
        (b"", False, False),
    ],
)
def test_connection_options_of_a_response_are_understood(value, close, keep_alive):
    """In any case and any company."""
    read = read_response_fields([(b"Connection", value)])

    assert (read.close, read.keep_alive, read.lines) == (close, keep_alive, [])


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"timeout=5", 5.0),
        (b"max=100, Timeout = 7", 7.0),
        (b'timeout="9"', 9.0),
        (b"timeout=0", 0.0),
        (b"max=5", None),
        (b"timeout=x", None),
        (b"timeout=-1", None),
        (b"timeout", None),
        (b"timeout=9999999999", None),
        (b"", None),
    ],
)
def test_the_origins_keep_alive_hint_is_read(value, seconds):
    """``timeout=N`` in seconds, wherever it stands (design D10)."""
    read = read_response_fields([(b"Keep-Alive", value)])

    assert read.keep_alive_timeout == seconds
    assert read.lines == []


@pytest.mark.parametrize(
    "raw",
    [
        [(b"Content-Length", b"x")],
        [(b"Content-Length", b"-1")],
        [(b"Content-Length", b"5, 5")],
        [(b"Content-Length", b"5"), (b"Content-Length", b"5")],
        [(b"Transfer-Encoding", b"gzip, chunked")],
        [(b"Transfer-Encoding", b"gzip")],
        [(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")],
    ],
)
def test_response_framing_that_must_not_be_forwarded_is_an_error(raw):
    """RFC 9112 section 6.3: a proxy answers 502."""
    with pytest.raises(UpstreamProtocolError):
        read_response_fields(raw)


def test_a_responses_length_passes_and_its_coding_does_not():
    """The coding belongs to the hop; the reply is framed anew."""
    counted = read_response_fields([(b"content-length", b"5")])
    chunked = read_response_fields([(b"Transfer-Encoding", b"Chunked")])

    assert (counted.length, counted.lines) == (5, [b"content-length: 5\r\n"])
    assert counted.length_line == b"content-length: 5\r\n"
    assert (chunked.chunked, chunked.length, chunked.lines) == (True, None, [])


@pytest.mark.parametrize(
    ("value", "stream"),
    [
        (b"text/event-stream", True),
        (b"Text/Event-Stream; charset=utf-8", True),
        (b"text/html", False),
    ],
)
def test_an_event_stream_is_recognised(value, stream):
    """It never ends, so it is never drained."""
    read = read_response_fields([(b"Content-Type", value)])

    assert read.event_stream is stream
    assert read.lines == [b"Content-Type: %b\r\n" % value]


def test_a_date_is_noted_and_passed_on():
    """A proxy adds one only where there is none."""
    assert read_response_fields([(b"date", b"x")]).has_date
    assert not read_response_fields([(b"X-Date", b"x")]).has_date
    assert read_response_fields([(b"date", b"x")]).lines == [b"date: x\r\n"]


def test_more_spellings_than_are_remembered_stay_right():
    """The memory of spellings is bounded."""
    raw = [(b"X-%d" % number, b"v") for number in range(5000)]

    read = read_response_fields([*raw, (b"cOnnection", b"close")])

    assert len(read.lines) == 5000
    assert read.close


def test_a_challenge_of_a_proxy_is_kept_for_us():
    """It goes no further (RFC 9110 section 11.7.1)."""
    read = read_response_fields(
        [(b"Proxy-Authenticate", b"NTLM"), (b"proxy-authenticate", b"Basic ")]
    )

    assert read.proxy_challenges == [b"NTLM", b"Basic"]
    assert read.lines == []
