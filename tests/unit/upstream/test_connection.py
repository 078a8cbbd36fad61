"""One upstream connection against a real origin socket: how responses end."""

import pytest

from reuse_proxy.errors import UpstreamClosedError, UpstreamProtocolError
from reuse_proxy.upstream.books import CloseReason
from reuse_proxy.upstream.endings import reason_to_close
from tests.support.wire import wired


@pytest.mark.parametrize(
    ("method", "response", "body"),
    [
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (
            "GET",
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"2;x=y\r\nab\r\n1\r\nc\r\n0\r\nX-Trailer: 1\r\n\r\n"
            ),
            b"abc",
        ),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b""),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b""),
        ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b""),
        (
            "GET",
            (
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
            ),
            b"a",
        ),
        (
            "GET",
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na",
            b"a",
        ),
        (
            "GET",
            (
                b"HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"
                b"Content-Length: 1\r\n\r\na"
            ),
            b"a",
        ),
    ],
)
async def test_a_whole_response_leaves_the_connection_reusable(method, response, body):
    """Twice on the same connection, so that the first leaves no trace."""
    async with wired() as wire:
        for number in (1, 2):
            head, received = await wire.exchange(response, method)

            assert not head.interim
            assert received == body
            assert wire.connection.is_reusable()
            assert wire.connection.ready()
            assert wire.connection.requests == number


async def test_a_response_may_come_byte_by_byte():
    """Nothing depends on where segments end; neither does reuse after HEAD."""
    responses = {
        "GET": b"HTTP/1.1 200 Quite Fine\r\nX: y\r\nContent-Length: 2\r\n\r\nab",
        "HEAD": b"HTTP/1.1 200 Quite Fine\r\nX: y\r\nContent-Length: 2\r\n\r\n",
    }
    for method, response in responses.items():
        async with wired() as wire:
            await wire.send(method)
            wire.connection.data_received(b"")
            for at in range(len(response)):
                wire.connection.data_received(response[at : at + 1])

            head = await wire.head()
            assert (head.status, head.reason) == (200, b"Quite Fine")
            assert await wire.body() == (b"ab" if method == "GET" else b"")
            assert wire.connection.is_reusable(), method


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na",
            CloseReason.SERVER_CLOSE,
        ),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", CloseReason.SERVER_CLOSE),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naSURPLUS",
            CloseReason.UNSOLICITED,
        ),
        (
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
                b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"
            ),
            CloseReason.UNSOLICITED,
        ),
        (
            b"HTTP/1.1 304 N\r\nContent-Length: 1\r\n\r\na",
            CloseReason.UNSOLICITED,
        ),
        (b"HTTP/1.1 204 N\r\n\r\nHTTP/1.1 20", CloseReason.UNSOLICITED),
    ],
)
async def test_a_connection_that_may_carry_more_than_its_response_is_not_reusable(
    response, reason
):
    """The response itself is whole, and nothing of the rest gets into it."""
    async with wired() as wire:
        head, body = await wire.exchange(response)

        assert body in (b"", b"a")
        assert head.status in (200, 204, 304)
        assert not wire.connection.is_reusable()
        assert reason_to_close(wire.connection) == reason


@pytest.mark.parametrize(
    "rest", [b"body", b"5\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"body\r\n\r\n"]
)
@pytest.mark.parametrize("apart", [False, True])
async def test_a_body_after_a_head_response_spoils_the_connection(*, rest, apart):
    """Some origins send one; it must not become the next response."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
    async with wired() as wire:
        await wire.send("HEAD")
        if apart:
            await wire.peer.send(head)
            await wire.head()
            await wire.peer.send(rest)
            await wire.until(lambda: not wire.connection.ready())
        else:
            await wire.peer.send(head + rest)
            await wire.head()

        assert await wire.body() == b""
        assert not (wire.connection.is_reusable() and wire.connection.ready())


async def test_a_body_that_ends_with_the_connection_is_whole():
    """RFC 9112 section 6.3, case 8; there is nothing left to reuse."""
    async with wired() as wire:
        await wire.send()
        await wire.peer.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await wire.head()
        wire.peer.writer.write_eof()

        assert await wire.body() == b"abc"
        assert not wire.connection.is_reusable()
        assert reason_to_close(wire.connection) == CloseReason.SERVER_CLOSE


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    ],
)
@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_connection_that_ends_early_fails_its_exchange(response, how):
    """What came before is handed out first (design D9)."""
    async with wired() as wire:
        await wire.send()
        await wire.peer.send(response)
        if how == "fin":
            wire.peer.writer.write_eof()
        else:
            await wire.until(lambda: wire.connection.response.received or not response)
            wire.peer.reset()

        with pytest.raises(UpstreamClosedError) as caught:
            await wire.rest()

        assert wire.connection.response.received is bool(response)
        expected = "http_response_incomplete" if response else "connection_terminated"
        assert caught.value.error == expected
        assert reason_to_close(wire.connection) == CloseReason.TRUNCATED


async def test_a_reset_truncates_a_body_that_would_end_with_the_connection():
    """A FIN would have made it whole."""
    async with wired() as wire:
        await wire.send()
        await wire.peer.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await wire.head()
        wire.peer.reset()

        with pytest.raises(UpstreamClosedError):
            await wire.body()
        assert not wire.connection.response.complete


@pytest.mark.parametrize(
    "response",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX y: z\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: y\0z\r\n\r\n",
        b"HTTP/1.1 999 Odd\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 103 Early\r\n\r\n" * 101,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 65536 + b"\r\n\r\n",
        b"HTTP/1.1 200 " + b"y" * 65537,
        b"HTTP/1.1 200 OK\r\nX-Unterminated: " + b"y" * 65537,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 257 + b"\r\n",
    ],
    ids=lambda response: repr(response[:60]),
)
async def test_what_is_not_a_response_fails_the_exchange(response):
    """No head of it is handed out, except of interim ones that were whole."""
    async with wired() as wire:
        await wire.send()
        wire.connection.data_received(response)

        with pytest.raises(UpstreamProtocolError):
            await wire.rest()

        assert {head.status for head in wire.heads} <= {103}
        assert not wire.connection.is_reusable()
        assert reason_to_close(wire.connection) == CloseReason.PROTOCOL_ERROR


async def test_chunk_extensions_without_end_fail_the_exchange():
    """They carry nothing, so they are bounded by themselves."""
    async with wired() as wire:
        await wire.send()
        wire.connection.data_received(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"
        )
        await wire.head()
        for _ in range(17):
            wire.connection.data_received(b"x" * 65536)

        with pytest.raises(UpstreamProtocolError):
            await wire.body()


async def test_a_long_stream_of_small_chunks_is_no_attack():
    """Only overhead in a row counts, however much a long response has of it."""
    extension = b"x" * 65536
    async with wired() as wire:
        await wire.send()
        wire.connection.data_received(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        await wire.head()
        for _ in range(20):
            wire.connection.data_received(b"1;" + extension)
            wire.connection.data_received(b"\r\na")
            wire.connection.data_received(b"\r\n")
        wire.connection.data_received(b"0\r\n\r\n")

        assert await wire.body() == b"a" * 20
        assert wire.connection.is_reusable()


async def test_a_broken_body_hands_out_what_came_before():
    """Then it fails."""
    async with wired() as wire:
        await wire.send()
        await wire.peer.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n"
        )
        await wire.head()

        await wire.connection.receive()
        assert b"".join(wire.connection.take_body()) == b"ab"
        with pytest.raises(UpstreamProtocolError):
            await wire.body()
