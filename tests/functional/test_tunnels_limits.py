"""Tunnels under the caps, and what is told of them."""

import asyncio

from tests.support.books import assert_balanced
from tests.support.client import request_bytes
from tests.support.scrape import (
    ESTABLISHED,
    admin_json,
    kernel_connections,
    samples,
    scrape,
)
from tests.support.tunnels import (
    MIB,
    connect_bytes,
    echo,
    echoed,
    gone,
    opened,
)


def queued(proxy):
    """Count the requests that wait for a connection."""
    return sum(len(pool.waiters) for pool in proxy.session.pool.origins.values())


async def test_a_tunnel_counts_under_the_global_cap(
    tunnelling, make_origin, make_client
):
    """A plain request waits for its place, and gets it once the tunnel has ended."""
    plain, origin = await make_origin(name="plain.test"), await make_origin(echo)
    proxy = await tunnelling(origin, max_sockets=1)
    tunnel, client = await opened(make_client, proxy, origin), await make_client(proxy)
    await client.send(request_bytes(f"{plain.url}/"))
    await plain.until(lambda: queued(proxy) == 1)
    assert await echoed(tunnel, b"still there") == b"still there"
    assert plain.accepted == 0

    await tunnel.close()

    assert (await client.response()).body == b"hello"
    assert origin.open == 0


async def test_a_request_for_which_tunnels_leave_no_place_is_told_so(
    tunnelling, make_origin, make_client
):
    """503 counts the tunnels; they go on."""
    plain, origin = await make_origin(name="plain.test"), await make_origin(echo)
    proxy = await tunnelling(origin, max_sockets=2, queue_timeout="0.1s")
    tunnels = [await opened(make_client, proxy, origin) for _ in range(2)]
    client = await make_client(proxy)

    response = await client.get(f"{plain.url}/")

    assert (response.status, response.value("Retry-After")) == (503, "1")
    assert (
        b"0 of its own and 2 in all are open, 2 of these tunnels,"
        b" as many as max_sockets allows" in response.body
    )
    assert plain.accepted == 0
    assert [await echoed(tunnel, b"on") for tunnel in tunnels] == [b"on"] * 2


async def test_a_tunnel_waits_for_busy_connections(
    tunnelling, make_origin, make_client
):
    """Whose place it takes once their response has ended."""
    plain, origin = await make_origin(name="plain.test"), await make_origin(echo)
    proxy = await tunnelling(origin, max_sockets=1)
    busy, client = await make_client(proxy), await make_client(proxy)
    await busy.send(request_bytes(f"{plain.url}/wait"))
    await plain.until(lambda: len(plain.requests) == 1)
    await client.send(connect_bytes(origin.authority), b"early")
    await plain.until(lambda: queued(proxy) == 1)
    assert origin.accepted == 0

    plain.release.set()

    assert (await busy.response()).body == b"done"
    await client.reader.readuntil(b"\r\n\r\n")
    assert await client.reader.readexactly(5) == b"early"
    await plain.until(lambda: plain.open == 0)


async def test_the_oldest_idle_connection_makes_room_for_a_tunnel(
    tunnelling, make_origin, make_client
):
    """That of the origin which was used longest ago; a tunnel never does."""
    first, second = [await make_origin(name=f"{letter}.test") for letter in "ab"]
    origin = await make_origin(echo)
    proxy = await tunnelling(origin, max_sockets=3)
    tunnel, client = await opened(make_client, proxy, origin), await make_client(proxy)
    for plain in (first, second):
        assert (await client.get(f"{plain.url}/")).status == 200

    other = await opened(make_client, proxy, origin)
    await first.until(lambda: first.open == 0)

    assert (first.open, second.open, origin.open) == (0, 1, 2)
    assert proxy.session.stats.origins[first.url].closed == {"evicted": 1}
    for client in (tunnel, other):
        assert await echoed(client, b"hello") == b"hello"


async def test_tunnels_do_not_count_under_the_cap_of_an_origin(
    tunnelling, make_origin, make_client
):
    """Forty at a time where two connections are allowed, and plain requests beside."""

    async def either(connection):
        data = await connection.reader.readexactly(1)
        if data == b"G":
            await connection.reader.readuntil(b"\r\n\r\n")
            await connection.reply(b"hello")
            await connection.closed()
        await connection.send(data)
        await echo(connection)

    origin = await make_origin(either)
    proxy = await tunnelling(origin, max_per_origin=2)
    clients = [await make_client(proxy) for _ in range(40)]
    for client in clients:
        await client.send(connect_bytes(origin.authority), b"?")
    for client in clients:
        await client.reader.readuntil(b"\r\n\r\n")
        assert await client.reader.readexactly(1) == b"?"
    await origin.until(lambda: len(proxy.tunnels.open) == 40)

    response = await (await make_client(proxy)).get(f"{origin.url}/")

    assert response.body == b"hello"
    assert origin.open == 41


async def test_every_number_that_is_served_agrees_on_the_tunnels(
    tunnelling, make_origin, make_client
):
    """Metrics, the view of the pool, the kernel and the origin; while open and after."""
    origin = await make_origin(echo)
    proxy = await tunnelling(origin)
    clients = [await opened(make_client, proxy, origin) for _ in range(3)]
    label = f"origin.test:{origin.port}"

    text = await scrape(proxy.admin_address)
    pools = await admin_json(proxy.admin_address, "/api/v1/pools")

    assert samples(text, "upstream_connections")[label, "tunnel"] == 3
    assert sum(samples(text, "upstream_connections").values()) == 3
    assert sum(samples(text, "kernel_sockets").values()) == 3
    assert kernel_connections(to_port=origin.port) == {ESTABLISHED: 3}
    assert samples(text, "requests_total") == {("2xx", label, "tunnel"): 3}
    assert samples(text, "request_duration_seconds_count")[("tunnel",)] == 0
    assert pools["sockets"] == 3
    (view,) = pools["origins"]
    assert [entry["state"] for entry in view["connections"]] == ["tunnel"] * 3
    assert origin.open == 3
    await assert_balanced(proxy)

    for client in clients:
        await client.close()
    await gone(proxy)
    text = await scrape(proxy.admin_address)

    assert samples(text, "upstream_connections")[label, "tunnel"] == 0
    assert samples(text, "upstream_connections_opened_total") == {(label,): 3}
    closed = samples(text, "upstream_connections_closed_total")
    assert closed == {(label, "tunnel_end"): 3}
    assert samples(text, "upstream_reuse_misses_total")["tunnel",] == 3
    assert samples(text, "request_duration_seconds_count")[("tunnel",)] == 3
    assert proxy.session.stats.origins[label].tunnels_opened == 3


async def test_the_connection_of_a_tunnel_never_carries_a_request(
    tunnelling, make_origin, make_client
):
    """Nor the other way round: host and port are the same, the pools are two."""

    async def serve(connection):
        while True:
            await connection.request()
            await connection.reply(b"hello")

    origin = await make_origin(serve)
    proxy = await tunnelling(origin)
    client = await make_client(proxy)
    assert (await client.get(f"{origin.url}/")).body == b"hello"

    tunnel = await opened(make_client, proxy, origin)
    await tunnel.send(b"GET /inside HTTP/1.1\r\nHost: a\r\n\r\n")
    inside = await tunnel.response()
    await tunnel.close()
    await origin.until(lambda: not proxy.tunnels.open)

    assert (await client.get(f"{origin.url}/")).body == b"hello"
    assert inside.body == b"hello"
    assert inside.value("Via") is None
    assert origin.accepted == 2
    assert origin.requests[1].lines == [b"Host: a"]


async def test_a_tunnel_is_not_reset_while_others_wait_for_its_place(
    tunnelling, make_origin, make_client
):
    """A client that reads nothing of a response would be, after a second."""

    async def chatter(connection):
        await connection.reader.readexactly(1)
        await connection.send(bytes(16 * MIB))
        await echo(connection)

    origin = await make_origin(chatter)
    proxy = await tunnelling(origin, max_sockets=1, queue_timeout="2s")
    tunnel, client = await opened(make_client, proxy, origin), await make_client(proxy)
    await tunnel.send(b"?")

    response = await client.get("http://plain.test/")

    assert response.status == 503
    async with asyncio.timeout(15):
        assert await tunnel.reader.readexactly(16 * MIB)
    assert await echoed(tunnel, b"on") == b"on"
