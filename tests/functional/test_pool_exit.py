"""Design D7, D8 and D9 through a real proxy: how exchanges end."""

import asyncio

import h11
import pytest

from tests.support.client import request_bytes

STREAM = b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def begins(fields, start=b""):
    """Make a script: a head, the body's start, and the rest never."""

    async def script(connection):
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n", fields, b"\r\n", start)
        await connection.closed()

    return script


def ends(fields, start=b""):
    """Make a script: a head, the body's start, and an early end."""

    async def script(connection):
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n", fields, b"\r\n", start)

    return script


async def leave_after_the_head(make_client, proxy, url):
    """Ask, wait for the response's first byte, and go away."""
    client = await make_client(proxy)
    await client.send(request_bytes(url))
    await client.reader.readexactly(1)
    client.reset()


# Exit (D7)...


async def test_a_response_within_the_bounds_is_drained_and_its_connection_reused(
    proxy, origin, make_client
):
    """The rest comes after the client has gone."""
    await leave_after_the_head(make_client, proxy, f"{origin.url}/hold")
    await origin.until(lambda: bool(proxy.session._tasks))
    origin.release.set()
    await origin.until(lambda: +proxy.session.stats.drains == {"reused": 1})

    response = await (await make_client(proxy)).get(f"{origin.url}/")

    assert response.body == b"hello"
    assert (origin.accepted, origin.open) == (1, 1)
    assert proxy.session.stats.drained_bytes == 2


@pytest.mark.parametrize(
    ("fields", "start"),
    [
        (b"Content-Length: 5000\r\n", b"x"),
        (STREAM, b"5\r\ndata\n\r\n"),
    ],
    ids=["length", "event stream"],
)
async def test_a_response_known_to_exceed_the_byte_bound_is_discarded_at_once(
    fields, start, make_proxy, make_origin, make_client
):
    """The origin sees the close; it is counted and gives its place free."""
    proxy = await make_proxy(drain_max_bytes=1000, drain_timeout="20s")
    origin = await make_origin(begins(fields, start))

    await leave_after_the_head(make_client, proxy, f"{origin.url}/")
    await origin.until(lambda: origin.open == 0)

    assert +proxy.session.stats.drains == {"too_big": 1}
    (stats,) = proxy.session.stats.origins.values()
    assert stats.closed == {"drain_refused": 1}


async def test_a_body_without_end_is_discarded_at_the_byte_bound(
    make_proxy, make_origin, make_client
):
    """The origin can send little more than the bound before it sees the close."""
    sent = 0

    async def script(connection):
        nonlocal sent
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n", CHUNKED, b"\r\n")
        while True:
            await connection.send(b"1000\r\n", bytes(4096), b"\r\n")
            sent += 4096
            await asyncio.sleep(0)

    proxy = await make_proxy(drain_max_bytes="64KiB", drain_timeout="20s")
    origin = await make_origin(script)

    await leave_after_the_head(make_client, proxy, f"{origin.url}/")
    await origin.until(lambda: origin.open == 0)

    assert +proxy.session.stats.drains == {"too_big": 1}
    assert sent < 16 * 1024 * 1024


async def test_a_response_beyond_the_time_bound_is_discarded(
    make_proxy, origin, make_client
):
    """The origin sees the close."""
    proxy = await make_proxy(drain_timeout="0.1s")

    await leave_after_the_head(make_client, proxy, f"{origin.url}/hold")
    await origin.until(lambda: +proxy.session.stats.drains == {"too_slow": 1})
    seen = await origin.connections[0].closed()

    assert seen == b""
    (stats,) = proxy.session.stats.origins.values()
    assert stats.closed == {"drain_refused": 1}
    origin.release.set()


async def test_a_drain_does_not_keep_others_waiting(make_proxy, origin, make_client):
    """They are served on another connection meanwhile."""
    proxy = await make_proxy(drain_timeout="20s")
    await leave_after_the_head(make_client, proxy, f"{origin.url}/hold")
    client = await make_client(proxy)

    served = [(await client.get(f"{origin.url}/")).body for _ in range(5)]

    assert served == [b"hello"] * 5
    assert origin.accepted == 2
    (pool,) = proxy.session.pool.origins.values()
    assert len(pool.draining) == 1
    origin.release.set()


async def test_a_drained_connection_serves_who_waits_for_it(
    make_proxy, origin, make_client
):
    """At the cap, the drain's end is what the queue waits for."""
    proxy = await make_proxy(max_per_origin=1, drain_timeout="20s")
    await leave_after_the_head(make_client, proxy, f"{origin.url}/hold")
    client = await make_client(proxy)
    await client.send(request_bytes(f"{origin.url}/"))
    (pool,) = proxy.session.pool.origins.values()
    await origin.until(lambda: len(pool.waiters) == 1)

    origin.release.set()

    assert (await client.response()).body == b"hello"
    assert origin.accepted == 1


# Slow clients (D8)...


async def test_a_client_that_does_not_read_holds_no_connection(
    make_proxy, origin, make_client
):
    """Its response fits into the spool; the only connection serves the next one."""
    proxy = await make_proxy(max_per_origin=1)
    slow, other = await make_client(proxy), await make_client(proxy)
    await slow.send(request_bytes(f"{origin.url}/bytes/900000"))
    await origin.until(lambda: len(origin.requests) == 1)

    response = await other.get(f"{origin.url}/")

    assert response.body == b"hello"
    assert len((await slow.response()).body) == 900_000
    assert origin.accepted == 1


async def test_a_client_that_stalls_is_reset_and_its_connection_kept(
    make_proxy, origin, make_client
):
    """Eight megabytes that nobody reads are drained."""
    proxy = await make_proxy(spool_per_response="64KiB", client_stall_timeout="0.3s")
    stalled, other = await make_client(proxy), await make_client(proxy)
    stalled.writer.transport.pause_reading()
    await stalled.send(request_bytes(f"{origin.url}/bytes/14000000"))
    await origin.until(lambda: proxy.stall_watch.stalls == 1)
    await origin.until(lambda: +proxy.session.stats.drains == {"reused": 1})

    response = await other.get(f"{origin.url}/")

    assert response.body == b"hello"
    assert origin.accepted == 1


# Truncation (D9)...


@pytest.mark.parametrize(
    ("fields", "start"),
    [
        (b"Content-Length: 10\r\n", b"12345"),
        (CHUNKED, b"5\r\n12345\r\n"),
        (CHUNKED, b"a\r\n12345"),
    ],
)
async def test_a_truncated_response_stays_truncated(fields, start, make_origin, client):
    """An independent parser sees that it is."""
    origin = await make_origin(ends(fields, start))

    with pytest.raises(h11.RemoteProtocolError):
        await client.get(f"{origin.url}/")

    assert origin.accepted == 1


async def test_a_truncated_response_whose_end_is_the_close_is_reset(
    make_origin, client
):
    """A FIN would make it whole for a client of HTTP/1.0."""
    origin = await make_origin(ends(CHUNKED, b"5\r\n12345\r\n"))
    url = f"{origin.url}/"

    await client.send(request_bytes(url).replace(b"HTTP/1.1", b"HTTP/1.0"))

    assert await client.was_reset()


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_a_response_that_never_began_is_a_502(begun, make_origin, client):
    """Nothing was sent, so the client can be told; its connection stays."""

    async def script(connection):
        await connection.request()
        await connection.send(begun)

    origin = await make_origin(script)

    for _ in range(2):
        response = await client.get(f"{origin.url}/")
        assert response.status == 502
        assert "proxy-status" in {
            name.lower().decode() for name, _ in response.raw_headers
        }
