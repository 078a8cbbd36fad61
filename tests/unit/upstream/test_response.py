"""Responses out of bytes, without a socket."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_proxy.errors import UpstreamProtocolError
from reuse_proxy.upstream.response import ResponseReader

RESPONSES = {
    "counted": b"HTTP/1.1 200 All Fine\r\nX-a: 1\r\nContent-Length: 5\r\n\r\nhello",
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nKeep-Alive: timeout=2\r\nX-Trailer: 1\r\n\r\n"
    ),
    "interim": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    ),
}


def reading(*pieces, method="GET"):
    """Read pieces as the response to one request."""
    reader = ResponseReader()
    reader.expect(method)
    for piece in pieces:
        reader.feed(piece)
    return reader


def heads_of(reader):
    """Spell the heads that have come."""
    return [(head.status, head.reason, head.fields.lines) for head in reader.heads]


@pytest.mark.parametrize("response", RESPONSES.values(), ids=RESPONSES)
@given(data=st.data())
def test_where_segments_end_changes_nothing(response, data):
    """The same heads, body and end, however the bytes arrive."""
    cuts = data.draw(st.lists(st.integers(0, len(response)), max_size=8).map(sorted))
    edges = [0, *cuts, len(response)]
    pieces = [response[a:b] for a, b in itertools.pairwise(edges) if b > a]

    whole, cut = reading(response), reading(*pieces)

    assert heads_of(cut) == heads_of(whole)
    assert b"".join(cut.body) == b"hello"
    assert (cut.complete, cut.persistent, cut.surplus) == (True, True, False)
    assert cut.body_bytes == cut.buffered == 5


def test_a_trailer_is_neither_a_field_nor_framing():
    """RFC 9110 section 6.5.1; what it says of the connection has no effect."""
    reader = reading(RESPONSES["chunked"])

    assert heads_of(reader) == [(200, b"OK", [])]
    assert reader.idle_limit == float("inf")


def test_a_second_response_starts_from_nothing():
    """Nothing of the first is left when the next request has been sent."""
    reader = reading(RESPONSES["interim"])
    reader.discard()
    reader.expect("GET")
    reader.feed(b"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n")

    assert heads_of(reader) == [(404, b"Gone", [b"Content-Length: 0\r\n"])]
    assert (reader.body, reader.body_bytes) == ([], 0)


def test_the_origins_idle_time_outlives_the_response_that_named_it():
    """``Keep-Alive: timeout=5`` is said of the connection."""
    reader = reading(
        b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n"
    )
    reader.expect("GET")

    assert reader.idle_limit == 4.0


@pytest.mark.parametrize(("extra", "accepted"), [(0, True), (1, False)])
def test_a_head_has_at_most_64_kib(extra, accepted):
    """Counted over its fields, also when it comes in one piece with its body."""
    value = b"y" * (64 * 1024 - len(b"Content-Length: 2\r\nX: \r\n") + extra)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: " + value + b"\r\n\r\n"

    if accepted:
        assert reading(head + b"ab").complete
    else:
        with pytest.raises(UpstreamProtocolError):
            reading(head + b"ab")


@pytest.mark.parametrize(("number", "accepted"), [(256, True), (257, False)])
def test_a_head_has_at_most_256_fields(number, accepted):
    """Short ones are work, too."""
    head = b"HTTP/1.1 204 N\r\n" + b"X: y\r\n" * number + b"\r\n"

    if accepted:
        assert reading(head).complete
    else:
        with pytest.raises(UpstreamProtocolError):
            reading(head)


def test_the_end_of_the_connection_ends_only_a_body_without_length():
    """RFC 9112 section 6.3; any other is cut short."""
    unframed = reading(b"HTTP/1.1 200 OK\r\n\r\nhel")
    counted = reading(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")

    assert unframed.end()
    assert not unframed.persistent
    assert not counted.end()


def test_what_is_discarded_is_counted_and_not_kept():
    """A drain needs to know how much it has read (design D7)."""
    reader = reading(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
    reader.discard()
    reader.feed(b"llo")

    assert reader.exhausted
    assert reader.body_bytes == 5
    assert reader.buffered == 0


@pytest.mark.parametrize("rest", [b"x", b"HTTP/1.1 200 OK\r\n\r\n"])
@pytest.mark.parametrize("apart", [False, True])
def test_bytes_after_the_end_are_surplus(*, rest, apart):
    """They belong to no request, so the connection carries no other."""
    response = RESPONSES["counted"]
    reader = reading(response, rest) if apart else reading(response + rest)

    assert reader.surplus
    assert b"".join(reader.body) == b"hello"
