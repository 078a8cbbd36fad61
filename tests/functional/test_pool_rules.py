"""Design D4 through a real proxy: newest first, hard caps, and a bounded queue."""

import asyncio

from tests.support.client import request_bytes


def queued(proxy):
    """Count the requests that wait for a connection."""
    return sum(len(pool.waiters) for pool in proxy.session.pool.origins.values())


async def send_all(make_client, proxy, urls):
    """Send each request on a client connection of its own."""
    clients = [await make_client(proxy) for _ in urls]
    for client, url in zip(clients, urls, strict=True):
        await client.send(request_bytes(url))
    return clients


async def bodies(clients):
    """Receive one response on each client connection."""
    return [(await client.response()).body for client in clients]


async def test_after_a_burst_the_newest_connection_is_used_and_the_tail_expires(
    make_proxy, origin, make_client
):
    """Eight at once, then one by one: seven go, and nothing new is opened."""
    proxy = await make_proxy(idle_timeout="0.4s", dial_patience="0s")
    clients = await send_all(make_client, proxy, [f"{origin.url}/wait"] * 8)
    await origin.until(lambda: len(origin.requests) == 8)
    origin.release.set()
    await bodies(clients)
    assert origin.open == 8

    async with asyncio.timeout(5):
        while origin.open > 1:
            assert (await clients[0].get(f"{origin.url}/")).body == b"hello"

    assert (origin.accepted, origin.open) == (8, 1)


async def test_the_cap_of_an_origin_holds_under_load(make_proxy, origin, make_client):
    """Thirty clients at once, three connections; everybody is served."""
    proxy = await make_proxy(max_per_origin=3, dial_patience="0s")
    clients = await send_all(make_client, proxy, [f"{origin.url}/bytes/9"] * 30)

    assert await bodies(clients) == [b"x" * 9] * 30
    assert origin.accepted == 3


async def test_the_global_cap_holds_while_every_socket_is_busy(
    make_proxy, make_origin, make_client
):
    """Four sockets for two origins; the other requests wait and are served."""
    one, two = await make_origin(name="a.test"), await make_origin(name="b.test")
    proxy = await make_proxy(max_sockets=4, dial_patience="0s")
    urls = [f"{one.url}/wait", f"{two.url}/wait"] * 5
    clients = await send_all(make_client, proxy, urls)
    await one.until(lambda: len(one.requests) + len(two.requests) == 4)
    await one.until(lambda: queued(proxy) == 6)
    assert one.accepted + two.accepted == 4

    one.release.set()
    two.release.set()

    assert await bodies(clients) == [b"done"] * 10
    assert one.open + two.open <= 4


async def test_at_the_global_cap_the_oldest_idle_connection_makes_room(
    make_proxy, make_origin, make_client
):
    """That of the origin which was used longest ago."""
    origins = [await make_origin(name=f"{letter}.test") for letter in "abc"]
    proxy = await make_proxy(max_sockets=2)
    client = await make_client(proxy)

    for origin in origins:
        assert (await client.get(f"{origin.url}/")).body == b"hello"
    await origins[0].until(lambda: origins[0].open == 0)

    assert [origin.open for origin in origins] == [0, 1, 1]
    assert (await client.get(f"{origins[1].url}/")).body == b"hello"
    assert origins[1].accepted == 1


async def test_many_origins_take_turns_under_a_small_cap(
    make_proxy, make_origin, make_client
):
    """None starves, whatever the others do."""
    origins = [await make_origin(name=f"{letter}.test") for letter in "abcde"]
    proxy = await make_proxy(max_sockets=2)
    urls = [f"{origin.url}/bytes/5" for origin in origins] * 6

    clients = await send_all(make_client, proxy, urls)

    assert await bodies(clients) == [b"xxxxx"] * 30
    assert proxy.session.pool.sockets <= 2


async def test_a_full_queue_is_503_with_retry_after(make_proxy, origin, make_client):
    """At once, and those before are still served."""
    proxy = await make_proxy(max_per_origin=1, max_queue=1)
    clients = await send_all(make_client, proxy, [f"{origin.url}/wait"])
    await origin.until(lambda: len(origin.requests) == 1)
    clients += await send_all(make_client, proxy, [f"{origin.url}/wait"])
    await origin.until(lambda: queued(proxy) == 1)

    third = await make_client(proxy)
    refused = await third.get(f"{origin.url}/wait")
    origin.release.set()

    assert (refused.status, refused.value("retry-after")) == (503, "1")
    assert b"max_queue" in refused.body
    assert await bodies(clients) == [b"done", b"done"]
    assert (await third.get(f"{origin.url}/")).status == 200


async def test_a_burst_is_served_up_to_the_cap_however_short_the_queue(
    make_proxy, origin, make_client
):
    """Who gets a connection of its own does not wait in the queue."""
    proxy = await make_proxy(max_per_origin=4, max_queue=0, dial_patience="0s")
    clients = await send_all(make_client, proxy, [f"{origin.url}/wait"] * 4)
    await origin.until(lambda: len(origin.requests) == 4)

    refused = await (await make_client(proxy)).get(f"{origin.url}/wait")
    origin.release.set()

    assert refused.status == 503
    assert await bodies(clients) == [b"done"] * 4


async def test_waiting_longer_than_the_queue_timeout_is_503(
    make_proxy, origin, make_client
):
    """The sentence names the settings; the origin has not seen the request."""
    proxy = await make_proxy(max_per_origin=1, queue_timeout="0.1s")
    (busy,) = await send_all(make_client, proxy, [f"{origin.url}/wait"])
    await origin.until(lambda: len(origin.requests) == 1)

    refused = await (await make_client(proxy)).get(f"{origin.url}/never")

    assert (refused.status, refused.value("retry-after")) == (503, "1")
    assert b"queue_timeout" in refused.body
    origin.release.set()
    assert (await busy.response()).body == b"done"
    assert [request.target for request in origin.requests] == [b"/wait"]


async def test_a_client_that_leaves_while_queued_leaves_nothing_behind(
    make_proxy, origin, make_client
):
    """Its request never reaches the origin, and the next in line is served."""
    proxy = await make_proxy(max_per_origin=1)
    (busy,) = await send_all(make_client, proxy, [f"{origin.url}/wait"])
    await origin.until(lambda: len(origin.requests) == 1)
    leaving, staying = await send_all(
        make_client, proxy, [f"{origin.url}/gone", f"{origin.url}/"]
    )
    await origin.until(lambda: queued(proxy) == 2)

    leaving.reset()
    await origin.until(lambda: queued(proxy) == 1)
    origin.release.set()

    assert await bodies([busy, staying]) == [b"done", b"hello"]
    assert [request.target for request in origin.requests] == [b"/wait", b"/"]
    assert origin.accepted == 1


async def test_a_connection_that_comes_free_is_preferred_to_a_new_one(
    make_proxy, origin, make_client
):
    """Within the dial patience."""
    proxy = await make_proxy(dial_patience="5s")
    (busy,) = await send_all(make_client, proxy, [f"{origin.url}/wait"])
    await origin.until(lambda: len(origin.requests) == 1)
    (waiting,) = await send_all(make_client, proxy, [f"{origin.url}/"])
    await origin.until(lambda: queued(proxy) == 1)

    origin.release.set()

    assert await bodies([busy, waiting]) == [b"done", b"hello"]
    assert origin.accepted == 1
