"""What aiohttp's parser hands over, well-formed and not; see test_aiohttp.py."""

import asyncio

import pytest
from aiohttp import StreamReader
from aiohttp.http_exceptions import (
    BadHttpMessage,
    InvalidHeader,
    InvalidURLError,
    LineTooLong,
)
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import ERROR, _ErrInfo

from tests.support.bare import MAX_FIELD, MAX_FIELDS, MAX_LINE, protocol_of


async def message_of(server, peer, data):
    """The first message of a protocol that has received these bytes."""
    protocol = await protocol_of(server, peer, data)
    return protocol._messages[0]


async def test_a_message_has_the_raw_bytes(server, peer):
    """Names, values, order and duplicates as they came; the target unchanged."""
    message, _ = await message_of(
        server,
        peer,
        b"GET http://A.test:80/%41/../?%zz HTTP/1.1\r\nHOST: a.test\r\n"
        b"X-b: \xff\xfe\r\nx-A:  1 \r\nX-b: 2\r\nConnection: close\r\n\r\n",
    )

    assert message.method == "GET"
    assert message.path == "http://A.test:80/%41/../?%zz"
    assert list(message.raw_headers) == [
        (b"HOST", b"a.test"),
        (b"X-b", b"\xff\xfe"),
        (b"x-A", b"1"),
        (b"X-b", b"2"),
        (b"Connection", b"close"),
    ]
    assert message.version == (1, 1)
    assert message.should_close


@pytest.mark.parametrize("protocol", [b"h2c", b"foo", b"websocket"])
async def test_a_message_tells_that_its_connection_is_to_be_upgraded(
    server, peer, protocol
):
    """What came behind it is not parsed, and but for a websocket not kept either."""
    connection = await protocol_of(
        server,
        peer,
        b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\n"
        b"Upgrade: " + protocol + b"\r\n\r\n"
        b"GET http://b.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n",
    )

    ((message, _),) = connection._messages
    assert message.upgrade


async def test_a_message_without_upgrade_says_so(server, peer):
    """The field alone does not do it."""
    message, _ = await message_of(
        server,
        peer,
        b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nUpgrade: h2c\r\n\r\n",
    )

    assert not message.upgrade


async def test_a_body_is_not_decompressed(server, peer):
    """auto_decompress=False; `total_bytes` counts what has come."""
    _, content = await message_of(
        server,
        peer,
        b"POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: 4\r\n\r\nabcd",
    )

    assert isinstance(content, StreamReader)
    assert content.is_eof()
    assert content.total_bytes == 4
    assert content.read_nowait(-1) == b"abcd"


async def test_an_exception_set_on_a_body_reaches_its_reader(server, peer):
    """How the time limit and a client that left are told."""
    _, content = await message_of(
        server,
        peer,
        b"POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\n",
    )
    reading = asyncio.get_running_loop().create_task(content.readany())
    await asyncio.sleep(0)
    content.set_exception(TimeoutError("too slow"))

    with pytest.raises(TimeoutError, match="too slow"):
        await reading
    assert not content.is_eof()


async def test_a_malformed_chunk_is_a_message_of_its_own(server, peer):
    """The body before it is left without an end: the seam has to end it."""
    protocol = await protocol_of(
        server,
        peer,
        b"POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    )

    assert isinstance(protocol._messages[-1][0], _ErrInfo)


# Errors...


def test_the_stand_in_for_an_unparsed_request_looks_like_one():
    """What a reply asks of a request."""
    assert isinstance(ERROR, RawRequestMessage)
    assert ERROR.method == "UNKNOWN"
    assert isinstance(ERROR.version < (1, 1), bool)
    assert isinstance(ERROR.should_close, bool)


def head_with(*lines):
    """A request with these field lines."""
    return b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n%b\r\n" % b"".join(lines)


@pytest.mark.parametrize(
    ("data", "kind", "says"),
    [
        (
            b"GET http://a.test/%b HTTP/1.1\r\n\r\n" % (b"a" * 2 * MAX_LINE),
            LineTooLong,
            "",
        ),
        (head_with(b"a: %b\r\n" % (b"b" * 2 * MAX_FIELD)), LineTooLong, ""),
        (head_with(b"a: b\r\n" * MAX_FIELDS), BadHttpMessage, "Too many headers"),
        (head_with(b"a: \x00\r\n"), BadHttpMessage, "Invalid header value char"),
        (b"GET /\x01 HTTP/1.1\r\n\r\n", InvalidURLError, "Invalid"),
        (b"NO SUCH\r\n\r\n", BadHttpMessage, "Invalid method"),
    ],
    ids=["target", "field", "fields", "value", "url", "method"],
)
async def test_what_is_refused_comes_as_a_message_with_the_exception(
    server, peer, data, kind, says
):
    """One _ErrInfo, an empty body, and the waiter is woken; nothing is raised."""
    protocol = await protocol_of(server, peer, data)

    info, content = protocol._messages[-1]
    assert isinstance(info, _ErrInfo)
    assert isinstance(info.exc, kind)
    assert says in info.exc.message
    assert content is EMPTY_PAYLOAD
    assert protocol._waiter.done()


@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (b"GET http://a.test/%b HTTP/1.1\r\n\r\n" % (b"a" * 2 * MAX_LINE), MAX_LINE),
        (head_with(b"a: %b\r\n" % (b"b" * 2 * MAX_FIELD)), MAX_FIELD),
        (head_with(b"%b: b\r\n" % (b"a" * 2 * MAX_FIELD)), MAX_FIELD),
    ],
    ids=["target", "value", "name"],
)
async def test_the_second_argument_of_line_too_long_is_the_limit(
    server, peer, data, limit
):
    """By which 414 and 431 are told apart."""
    protocol = await protocol_of(server, peer, data)

    assert protocol._messages[-1][0].exc.args[1] == limit


def test_which_errors_quote_the_request():
    """Those whose message must not be logged; the others do after a line end."""
    for error in (LineTooLong(b"secret", 5), InvalidHeader(b"secret")):
        assert "secret" in error.message.partition("\n")[0]
