"""Requirements S19, S20, S22: origins without end, clients that do not read."""

import asyncio

import pytest

from tests.support.client import request_bytes
from tests.support.scrape import samples, scrape

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def endless(head, piece):
    """An origin that answers with a head and then with a piece again and again."""

    async def script(connection):
        await connection.request()
        await connection.send(head)
        connection.origin.sent = 0
        while True:
            await connection.send(piece)
            connection.origin.sent += len(piece)

    return script


# S19: responses that never end...


async def test_s19_interim_responses_without_end_are_answered_with_502(
    make_origin, client
):
    """Some are passed on, not ten thousand."""
    flood = endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100)
    origin = await make_origin(flood)

    response = await client.get(f"{origin.url}/")

    assert response.status == 502
    assert len(response.interim) <= 100
    await origin.until(lambda: origin.open == 0)


@pytest.mark.parametrize(
    "piece",
    [b"X-Trailer: " + b"t" * 1000 + b"\r\n", b"A: b\r\n" * 100],
    ids=["long", "short"],
)
async def test_s19_trailers_without_end_truncate(make_origin, client, piece):
    """The client never sees the end of the body; the origin is cut off."""
    origin = await make_origin(endless(CHUNKED + b"2\r\nab\r\n0\r\n", piece))
    await client.send(request_bytes(f"{origin.url}/"))

    answer = await client.until_closed()

    assert answer.endswith(b"2\r\nab\r\n")
    assert origin.sent < 10_000_000
    await origin.until(lambda: origin.open == 0)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (CHUNKED + b"2;", b"e" * 10_000),
        (CHUNKED + b"2\r\nab\r\n", b"0" * 10_000),
        (b"HTTP/1.1 200 ", b"r" * 10_000),
        (b"HTTP/1.1 200 OK\r\nX: ", b"v" * 10_000),
        (b"HTTP/1.1 200 OK\r\n", b"n" * 10_000),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 100),
    ],
    ids=["extension", "size", "reason", "value", "name", "fields"],
)
async def test_s19_a_line_without_end_is_cut_off(make_origin, client, head, piece):
    """Wherever it is: in the status line, a field, a chunk's size or extension."""
    origin = await make_origin(endless(head, piece))
    await client.send(request_bytes(f"{origin.url}/", "Connection: close"))

    answer = await client.until_closed()

    assert answer.startswith(b"HTTP/1.1 502 ") or not answer.endswith(b"0\r\n\r\n")
    assert origin.sent < 10_000_000
    await origin.until(lambda: origin.open == 0)


async def test_s19_a_body_in_chunks_of_one_byte_is_served(make_origin, client):
    """Unkind, but valid; the connection is as good as any."""
    length = 20_000

    async def crumbs(connection):
        for _ in range(2):
            await connection.request()
            await connection.send(CHUNKED + b"1\r\nx\r\n" * length + b"0\r\n\r\n")

    origin = await make_origin(crumbs)

    for _ in range(2):
        assert (await client.get(f"{origin.url}/")).body == b"x" * length
    assert origin.accepted == 1


# S20: drains...


async def test_s20_an_endless_body_is_drained_up_to_a_size(
    make_proxy, make_origin, make_client
):
    """Its client has left; the origin is cut off, and that is counted."""
    proxy = await make_proxy(drain_max_bytes="1MiB", drain_timeout=10)
    origin = await make_origin(endless(CHUNKED, b"4000\r\n" + b"x" * 0x4000 + b"\r\n"))
    client = await make_client(proxy)
    await client.send(request_bytes(f"{origin.url}/"))
    await client.reader.readexactly(100)
    client.reset()

    await origin.until(lambda: origin.accepted == 1 and origin.open == 0)

    text = await scrape(proxy.admin_address)
    assert samples(text, "drains_total")["too_big",] == 1
    # In one turn of its loop, uvloop reads up to 32 times 256 KiB.
    assert samples(text, "drained_bytes_total")[()] < 10_000_000


async def test_s20_a_head_without_end_is_not_drained_for_long(
    make_proxy, make_origin, make_client
):
    """Its bytes are no body, and are bounded all the same."""
    proxy = await make_proxy(drain_timeout=10)
    origin = await make_origin(endless(b"HTTP/1.1 200 OK\r\nX: ", b"v" * 10_000))
    client = await make_client(proxy)
    await client.send(request_bytes(f"{origin.url}/"))
    await origin.until(lambda: bool(origin.requests))
    client.reset()

    await origin.until(lambda: origin.open == 0)

    assert origin.sent < 10_000_000


async def test_s20_a_body_that_stops_is_drained_for_a_time(
    make_proxy, origin, make_client
):
    """Two bytes are owed, and do not come."""
    proxy = await make_proxy(drain_timeout=0.1)
    client = await make_client(proxy)
    await client.send(request_bytes(f"{origin.url}/hold"))
    await client.reader.readuntil(b"\r\n\r\nab")
    client.reset()

    await origin.until(lambda: not proxy.session.connections())

    text = await scrape(proxy.admin_address)
    assert samples(text, "drains_total")["too_slow",] == 1


async def test_s20_a_body_known_to_be_too_big_is_not_drained(
    make_proxy, origin, make_client
):
    """Content-Length tells at once."""
    proxy = await make_proxy(drain_max_bytes="1MiB", drain_timeout=10)
    client = await make_client(proxy)
    await client.send(request_bytes(f"{origin.url}/bytes/50000000"))
    await client.reader.readexactly(100)
    client.reset()

    await origin.until(lambda: origin.accepted == 1 and origin.open == 0)

    text = await scrape(proxy.admin_address)
    assert samples(text, "drains_total")["too_big",] == 1
    assert samples(text, "drained_bytes_total")[()] == 0


# S22: clients that do not read...


@pytest.mark.parametrize("size", [8_000_000, 50_000_000], ids=["drained", "discarded"])
async def test_s22_a_client_that_never_reads_is_reset(
    make_proxy, origin, make_client, size
):
    """Its upstream connection is free again, whether it is kept or closed."""
    proxy = await make_proxy(client_stall_timeout=0.2)
    client = await make_client(proxy)
    await client.send(request_bytes(f"{origin.url}/bytes/{size}"))
    await origin.until(lambda: proxy.stall_watch.stalls == 1)

    reader = await make_client(proxy)

    assert (await reader.get(f"{origin.url}/")).body == b"hello"
    assert await client.was_reset()
    assert origin.accepted == (1 if size < 16_000_000 else 2)


async def test_s22_a_client_that_reads_slowly_is_served(
    make_proxy, origin, make_client
):
    """It makes progress, if little."""
    proxy = await make_proxy(client_stall_timeout=0.2)
    client = await make_client(proxy)
    await client.send(request_bytes(f"{origin.url}/bytes/20000000"))
    received = b""
    for _ in range(20):
        received += await client.reader.read(2**18)
        await asyncio.sleep(0.03)
    head, _, body = received.partition(b"\r\n\r\n")
    await client.reader.readexactly(20_000_000 - len(body))

    assert head.startswith(b"HTTP/1.1 200 ")
    assert proxy.stall_watch.stalls == 0


async def test_s22_what_is_held_for_all_is_bounded(make_proxy, origin, make_client):
    """Twenty clients that do not read; one that does is served meanwhile."""
    proxy = await make_proxy(spool_total="256KiB", max_per_origin=32)
    for _ in range(20):
        client = await make_client(proxy)
        await client.send(request_bytes(f"{origin.url}/bytes/8000000"))
    await origin.until(lambda: len(origin.requests) == 20)
    reader = await make_client(proxy)

    response = await reader.get(f"{origin.url}/bytes/2000000")

    assert len(response.body) == 2_000_000
    spooled = samples(await scrape(proxy.admin_address), "spooled_bytes")[()]
    # Each may pass the mark by what was in flight when it was reached.
    assert spooled < 20 * 600_000
