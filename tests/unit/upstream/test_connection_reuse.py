"""One upstream connection: what makes it reusable, and what bounds it."""

import asyncio
import contextlib
import os

import pytest

from reuse_proxy.errors import (
    ProxyError,
    UpstreamClosedError,
    UpstreamTimeoutError,
)
from reuse_proxy.upstream.books import CloseReason, State
from reuse_proxy.upstream.endings import reason_to_close
from tests.support.wire import GET, wired


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        (b"x", CloseReason.UNSOLICITED),
        (b"HTTP/1.1 200 OK\r\n\r\n", CloseReason.UNSOLICITED),
        (b"", CloseReason.SERVER_CLOSE),
    ],
)
async def test_anything_on_an_idle_connection_ends_it(rest, reason):
    """Bytes, a whole response, or a FIN: the owner hears of it once (design D5)."""
    async with wired() as wire:
        await wire.exchange(b"HTTP/1.1 204 N\r\n\r\n")
        wire.connection.state = State.IDLE

        if rest:
            await wire.peer.send(rest)
        else:
            wire.peer.writer.write_eof()
        async with asyncio.timeout(5):
            await wire.owner.gone.wait()

        assert wire.owner.broken == [reason]


async def test_what_the_loop_has_not_read_yet_is_seen_before_reuse():
    """The poll looks at the socket itself."""
    async with wired() as wire:
        await wire.exchange(b"HTTP/1.1 204 N\r\n\r\n")
        assert wire.connection.ready()
        sock = wire.peer.writer.get_extra_info("socket")

        # Straight to the kernel, without a turn of the loop.
        os.write(sock.fileno(), b"x")

        assert not wire.connection.ready()


@pytest.mark.parametrize("event", ["kernel", "data", "fin", "lost"])
async def test_what_comes_before_a_waiting_request_is_sent_answers_nothing(event):
    """Between the lease and the end of the turn, the origin has not been asked."""
    async with wired() as wire:
        await wire.exchange(b"HTTP/1.1 204 N\r\n\r\n")
        connection = wire.connection
        for _ in range(4):
            wire.owner.outbox.begin()
        connection.state = State.ACTIVE
        connection.send_soon("POST", GET)
        forged = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        match event:
            case "kernel":
                sock = wire.peer.writer.get_extra_info("socket")
                os.write(sock.fileno(), forged)
            case "data":
                connection.data_received(forged)
            case "fin":
                connection.eof_received()
            case _:
                connection.abort()

        with pytest.raises(UpstreamClosedError):
            await connection.receive()
        assert connection.untouched
        assert not connection.response.heads
        assert wire.owner.broken == [CloseReason.STALE]
        # A reset, where there were bytes that nobody has read.
        with contextlib.suppress(ConnectionResetError):
            assert await wire.peer.reader.read() == b""


async def test_a_waiting_request_is_sent_at_the_end_of_the_turn():
    """And is an exchange like any other."""
    async with wired() as wire:
        for _ in range(4):
            wire.owner.outbox.begin()
        wire.connection.state = State.ACTIVE
        wire.connection.send_soon("GET", GET)
        assert not wire.connection.request_sent
        await wire.peer.reader.readexactly(len(GET))
        await wire.peer.send(b"HTTP/1.1 204 N\r\n\r\n")

        assert (await wire.head()).status == 204
        assert wire.connection.is_reusable()
        assert not wire.connection.untouched


async def test_a_request_that_was_not_sent_whole_spoils_the_connection():
    """An early answer does not make it reusable."""
    async with wired() as wire:
        await wire.send(complete=False)
        await wire.peer.send(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
        await wire.head()

        assert wire.connection.response.complete
        assert not wire.connection.is_reusable()
        assert reason_to_close(wire.connection) == CloseReason.ABORTED
        await wire.connection.write([b"rest"], complete=True)
        assert wire.connection.is_reusable()


@pytest.mark.parametrize(
    ("hint", "limit"), [(b"timeout=5", 4.0), (b"timeout=1", 0.0), (b"max=9", None)]
)
async def test_the_origins_hint_sets_the_idle_limit(hint, limit):
    """A second less than announced, so that we close first (design D10)."""
    async with wired() as wire:
        await wire.exchange(b"HTTP/1.1 204 N\r\nKeep-Alive: %b\r\n\r\n" % hint)

        assert wire.connection.idle_limit == (float("inf") if limit is None else limit)


# Bounds...


async def test_a_body_that_is_not_taken_pauses_the_origin():
    """What is held is bounded, and taking it goes on where it stopped."""
    size = 32 * 1024 * 1024
    async with wired() as wire:
        await wire.send()
        wire.peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        wire.peer.writer.write(bytes(size))
        await wire.head()
        await wire.until(lambda: not wire.connection.reading)

        assert wire.connection.response.buffered <= 512 * 1024
        assert wire.peer.writer.transport.get_write_buffer_size() > 0
        assert len(await wire.body()) == size
        assert wire.connection.reading
        assert wire.connection.is_reusable()


async def test_a_body_that_is_discarded_is_only_counted():
    """Nothing of it is held."""
    size = 4 * 1024 * 1024
    async with wired() as wire:
        await wire.send()
        wire.peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        wire.peer.writer.write(bytes(size))
        await wire.head()
        wire.connection.discard_body()

        assert await wire.body() == b""
        assert wire.connection.response.body_bytes == size
        assert wire.connection.is_reusable()


async def test_writing_waits_for_an_origin_that_does_not_read():
    """And fails with the exchange."""
    async with wired() as wire:
        await wire.send("PUT", complete=False)

        async def upload():
            while True:
                await wire.connection.write([bytes(65536)])

        task = asyncio.get_running_loop().create_task(upload())
        done, _ = await asyncio.wait([task], timeout=0.1)
        assert not done
        wire.connection.fail(UpstreamTimeoutError("too slow"))

        with pytest.raises(UpstreamTimeoutError):
            await task


async def test_a_failure_wakes_who_receives():
    """With the error that was given, and the socket is closed."""
    async with wired() as wire:
        await wire.send()
        error = UpstreamTimeoutError("too slow")
        asyncio.get_running_loop().call_soon(wire.connection.fail, error)

        with pytest.raises(ProxyError) as caught:
            await wire.connection.receive()

        assert caught.value is error
        assert reason_to_close(wire.connection) == CloseReason.TIMEOUT
        async with asyncio.timeout(5):
            await wire.owner.gone.wait()
        assert wire.connection.fileno() == -1
        assert not wire.connection.ready()


async def test_a_connection_tells_where_it_stands():
    """Origin, state and how many requests it has carried."""
    async with wired() as wire:
        await wire.exchange(b"HTTP/1.1 204 N\r\n\r\n")

        expected = "<UpstreamConnection http://a.test:80 active requests=1>"
        assert repr(wire.connection) == expected
