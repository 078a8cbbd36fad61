"""How long bodies are, in both directions (RFC 9112 section 6)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reuse_proxy.errors import RequestError
from reuse_proxy.http.framing import (
    Framing,
    bodyless,
    chunk,
    parse_length,
    reply_framing,
    request_framing,
)


@pytest.mark.parametrize(
    ("value", "length"),
    [
        (b"0", 0),
        (b"42", 42),
        (b"007", 7),
        (b"9223372036854775807", 2**63 - 1),
        (b"9223372036854775808", None),
        (b"99999999999999999999", None),
        (b"", None),
        (b"-1", None),
        (b"+1", None),
        (b"1_0", None),
        (b"0x10", None),
        (b" 1", None),
        (b"1,1", None),
        (b"1.0", None),
        ("٣".encode(), None),
        (b"\xb2", None),
    ],
)
def test_a_content_length_is_decimal_digits_alone(value, length):
    """RFC 9110 section 8.6; what Python's int would take besides is refused."""
    assert parse_length(value) == length


@pytest.mark.parametrize(
    ("lengths", "codings", "framing"),
    [
        ([], [], (Framing.NONE, 0)),
        ([b"0"], [], (Framing.NONE, 0)),
        ([b"5"], [], (Framing.LENGTH, 5)),
        ([], [b"chunked"], (Framing.CHUNKED, 0)),
        ([], [b"Chunked"], (Framing.CHUNKED, 0)),
        ([], [b" chunked "], (Framing.CHUNKED, 0)),
    ],
)
def test_a_request_body_is_framed_by_its_fields(lengths, codings, framing):
    """Content-Length or chunked, or there is none."""
    assert request_framing(http10=False, lengths=lengths, codings=codings) == framing


@pytest.mark.parametrize(
    ("http10", "lengths", "codings", "status"),
    [
        (False, [b"5"], [b"chunked"], 400),
        (True, [], [b"chunked"], 400),
        (False, [b"5", b"5"], [], 400),
        (False, [b"5", b"6"], [], 400),
        (False, [b"x"], [], 400),
        (False, [b"5, 5"], [], 400),
        (False, [], [b"chunked", b"chunked"], 400),
        (False, [], [b"chunked, gzip"], 400),
        (False, [], [b"gzip"], 400),
        (False, [], [b"xchunked"], 400),
        (False, [], [b"chunked,"], 400),
        (False, [], [b"gzip, chunked"], 501),
        (False, [], [b"gzip", b"chunked"], 501),
        (False, [], [b"identity, chunked"], 501),
    ],
)
def test_ambiguous_request_framing_is_refused(http10, lengths, codings, status):
    """Two readings of one body are a smuggled request."""
    with pytest.raises(RequestError) as caught:
        request_framing(http10=http10, lengths=lengths, codings=codings)

    assert caught.value.status == status


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        ("GET", 200, False),
        ("HEAD", 200, True),
        ("HEAD", 404, True),
        ("GET", 100, True),
        ("GET", 103, True),
        ("GET", 204, True),
        ("GET", 205, False),
        ("POST", 304, True),
        ("GET", 500, False),
    ],
)
def test_some_responses_have_no_body_whatever_they_say(method, status, expected):
    """RFC 9112 section 6.3, cases 1 and 2."""
    assert bodyless(method, status) is expected


@pytest.mark.parametrize(
    ("method", "status", "has_length", "http10", "framing"),
    [
        ("GET", 200, True, False, Framing.LENGTH),
        ("GET", 200, True, True, Framing.LENGTH),
        ("GET", 200, False, False, Framing.CHUNKED),
        ("GET", 200, False, True, Framing.CLOSE),
        ("HEAD", 200, True, False, Framing.NONE),
        ("GET", 304, True, False, Framing.NONE),
        ("GET", 204, False, True, Framing.NONE),
    ],
)
def test_a_reply_is_framed_for_its_client(
    *, method, status, has_length, http10, framing
):
    """A length stays one; else chunks, which HTTP/1.0 does not know."""
    chosen = reply_framing(method, status, has_length, http10)

    assert chosen is framing


def test_no_bytes_make_no_chunk():
    """An empty chunk would end the body."""
    assert chunk([]) == []
    assert chunk([b"", b""]) == []


@settings(database=None)
@given(pieces=st.lists(st.binary()))
def test_a_chunk_says_its_size_in_hexadecimal(pieces):
    """Pieces become one chunk of their joint size."""
    data = b"".join(pieces)

    framed = b"".join(chunk(pieces))

    assert framed == (b"%x\r\n%b\r\n" % (len(data), data) if data else b"")
