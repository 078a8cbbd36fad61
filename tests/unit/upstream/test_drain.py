"""Reading for nobody: to the end, within bytes and seconds."""

import asyncio

import pytest

from reuse_proxy.errors import UpstreamTimeoutError
from reuse_proxy.upstream.drain import DrainResult, drain, is_too_big
from tests.support.wire import wired


async def started(wire, head, body=b""):
    """Start an exchange and receive its head."""
    await wire.send()
    await wire.peer.send(head, body)
    return await wire.head()


async def test_a_drained_response_leaves_the_connection_reusable():
    """All of it is read, nothing is kept."""
    async with wired() as wire:
        size = 1_000_000
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
        await started(wire, head)
        wire.peer.writer.write(bytes(size))

        result = await drain(wire.connection, max_bytes=size, seconds=5.0)

        assert result is DrainResult.REUSED
        assert wire.connection.is_reusable()
        assert wire.connection.response.body_bytes == size
        assert wire.connection.take_body() == []


async def test_a_response_that_has_not_begun_is_drained_too():
    """The client left before the first byte."""
    async with wired() as wire:
        await wire.send()
        await wire.peer.send(b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 204 N\r\n\r\n")

        result = await drain(wire.connection, max_bytes=10, seconds=5.0)

        assert result is DrainResult.REUSED
        assert not wire.connection.response.heads


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
        (
            (
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            ),
            True,
        ),
    ],
)
async def test_what_is_known_to_exceed_the_bound_is_not_begun(head, expected):
    """By its length, or because an event stream never ends."""
    async with wired() as wire:
        await wire.send()
        assert not is_too_big(wire.connection, 100)
        await wire.peer.send(head)
        await wire.head()

        assert is_too_big(wire.connection, 100) is expected


async def test_only_what_is_left_counts():
    """Bytes that the client has had are not drained."""
    async with wired() as wire:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 150\r\n\r\n"
        await started(wire, head, bytes(60))
        await wire.until(lambda: wire.connection.response.body_bytes == 60)

        assert not is_too_big(wire.connection, 100)
        assert is_too_big(wire.connection, 89)


async def test_a_body_of_unknown_length_is_given_up_at_the_bound():
    """Chunks without end."""
    async with wired() as wire:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        await started(wire, head)
        wire.peer.writer.write(b"65\r\n" + bytes(101) + b"\r\n")

        result = await drain(wire.connection, max_bytes=100, seconds=5.0)

        assert result is DrainResult.TOO_BIG


async def test_a_head_that_comes_during_the_drain_is_judged():
    """A length that exceeds the bound ends it at once."""
    async with wired() as wire:
        await wire.send()
        loop = asyncio.get_running_loop()
        loop.call_soon(
            wire.peer.writer.write, b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n"
        )

        result = await drain(wire.connection, max_bytes=100, seconds=5.0)

        assert result is DrainResult.TOO_BIG


async def test_a_slow_body_is_given_up_in_time():
    """The bound in seconds."""
    async with wired() as wire:
        await started(wire, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b"x")

        result = await drain(wire.connection, max_bytes=100, seconds=0.05)

        assert result is DrainResult.TOO_SLOW
        assert not wire.connection.is_reusable()


@pytest.mark.parametrize(
    ("rest", "close"),
    [(b"", True), (b"0123456789SURPLUS", False)],
)
async def test_a_drain_that_ends_badly_is_an_error(rest, close):
    """The origin closes early, or says more than it should."""
    async with wired() as wire:
        await started(wire, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        if close:
            wire.peer.writer.write_eof()
        else:
            await wire.peer.send(rest)

        result = await drain(wire.connection, max_bytes=100, seconds=5.0)

        assert result is DrainResult.ERROR
        assert not wire.connection.is_reusable()


async def test_a_connection_that_fails_during_the_drain_is_an_error():
    """As the sweeper's response timeout does it."""
    async with wired() as wire:
        await started(wire, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, wire.connection.fail, UpstreamTimeoutError("late"))

        result = await drain(wire.connection, max_bytes=100, seconds=5.0)

        assert result is DrainResult.ERROR
