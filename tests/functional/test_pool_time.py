"""Design D10 through a real proxy: idle time, lifetime, and addresses that change."""

import asyncio

import pytest


def answering(*fields, closing_after=None):
    """Make a script that answers with fields; the first connection closes when idle."""

    async def script(connection):
        while True:
            await connection.request()
            await connection.reply(b"fine", *fields)
            if closing_after is not None and connection.number == 1:
                await asyncio.sleep(closing_after)
                return

    return script


async def test_the_origins_hint_bounds_the_idle_time(make_origin, proxy, client):
    """``timeout=2``: reused at once, and no more after a second."""
    origin = await make_origin(answering(b"Keep-Alive: timeout=2"))

    await client.get(f"{origin.url}/")
    await client.get(f"{origin.url}/")
    assert origin.accepted == 1
    await asyncio.sleep(1.01)
    await client.get(f"{origin.url}/")

    assert origin.accepted == 2


async def test_a_hint_without_room_ends_reuse(make_origin, proxy, client):
    """``timeout=1`` leaves no second for us to close first."""
    origin = await make_origin(answering(b"Keep-Alive: timeout=1, max=100"))

    await client.get(f"{origin.url}/")
    await origin.until(lambda: origin.open == 0)
    await client.get(f"{origin.url}/")

    assert origin.accepted == 2


async def test_the_time_after_which_an_origin_closes_is_learned(
    make_origin, proxy, client
):
    """The first connection is closed after 1.1 s; the second is not used that long.

    All times are those of our books: a busy machine stretches both sides alike.
    """
    loop = asyncio.get_running_loop()

    async def script(connection):
        while True:
            await connection.request()
            await connection.reply(b"fine")
            if connection.number == 1:
                await connection.origin.until(idle_for_long)
                return

    def idle_for_long():
        (ours,) = proxy.session.connections()
        return ours.state == "idle" and loop.time() - ours.idle_since >= 1.1

    origin = await make_origin(script)
    await client.get(f"{origin.url}/")
    await origin.until(lambda: not proxy.session.connections())

    await client.get(f"{origin.url}/")
    (pool,) = proxy.session.pool.origins.values()
    assert pool.learned_idle_limit >= 0.8 * 1.1
    await client.get(f"{origin.url}/")
    assert origin.accepted == 2
    (ours,) = proxy.session.connections()
    await origin.until(lambda: loop.time() - ours.idle_since >= pool.learned_idle_limit)
    await client.get(f"{origin.url}/")

    assert origin.accepted == 3


async def test_an_origin_that_restarts_does_not_end_reuse(make_origin, proxy, client):
    """A close soon after a response says nothing about its idle time."""
    origin = await make_origin(answering(closing_after=0.02))
    await client.get(f"{origin.url}/")
    await origin.until(lambda: origin.open == 0)

    await client.get(f"{origin.url}/")
    await asyncio.sleep(0.05)
    await client.get(f"{origin.url}/")

    assert origin.accepted == 2


async def test_an_idle_connection_is_closed_by_us(make_proxy, origin, make_client):
    """The origin sees the end without having sent anything."""
    proxy = await make_proxy(idle_timeout="0.1s")
    client = await make_client(proxy)

    await client.get(f"{origin.url}/")
    await origin.until(lambda: origin.open == 0)

    (stats,) = proxy.session.stats.origins.values()
    assert stats.closed == {"expired_idle": 1}


async def test_a_connection_is_replaced_at_the_end_of_its_lifetime(
    make_proxy, origin, make_client
):
    """Between two requests, and no client notices."""
    proxy = await make_proxy(max_lifetime="0.2s")
    client = await make_client(proxy)

    async with asyncio.timeout(5):
        while origin.accepted < 3:
            assert (await client.get(f"{origin.url}/")).status == 200

    (stats,) = proxy.session.stats.origins.values()
    assert stats.closed["expired_age"] >= 2


async def test_lifetimes_are_spread(make_proxy, origin, make_client):
    """Connections that were opened together do not end together."""
    proxy = await make_proxy(dial_patience="0s", max_lifetime="100s")
    clients = [await make_client(proxy) for _ in range(8)]
    responses = asyncio.gather(*(c.get(f"{origin.url}/wait") for c in clients))
    await origin.until(lambda: len(origin.requests) == 8)
    origin.release.set()
    await responses

    connections = proxy.session.connections()
    lives = {connection.expires_at - connection.opened_at for connection in connections}
    assert len(lives) == 8
    assert all(90 <= life <= 110 for life in lives)


# Addresses...


async def test_idle_connections_to_a_vanished_address_are_closed(
    make_proxy, origin, make_client, names
):
    """The name has moved; nobody has to ask for that."""
    names.table[origin.name] = ["127.0.0.1"]
    proxy = await make_proxy(dns_ttl="0.1s")
    client = await make_client(proxy)
    await client.get(f"{origin.url}/")

    names.table[origin.name] = ["127.0.0.2"]
    await origin.until(lambda: origin.open == 0)

    (stats,) = proxy.session.stats.origins.values()
    assert stats.closed == {"dns_change": 1}


async def test_a_busy_connection_to_a_vanished_address_is_closed_after_its_response(
    make_proxy, origin, make_client, names
):
    """Its client gets all of it."""
    proxy = await make_proxy(dns_ttl="0s")
    client = await make_client(proxy)
    asking = asyncio.gather(client.get(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == 1)
    names.table[origin.name] = ["127.0.0.2"]
    await origin.until(lambda: proxy.session.connections()[0].retire is not None)
    assert origin.open == 1

    origin.release.set()

    assert (await asking)[0].body == b"done"
    await origin.until(lambda: origin.open == 0)


async def test_connections_to_addresses_that_remain_are_kept(
    make_proxy, origin, make_client, names
):
    """Another address beside theirs is no reason to close them."""
    proxy = await make_proxy(dns_ttl="0s")
    client = await make_client(proxy)
    await client.get(f"{origin.url}/")
    names.table[origin.name] = ["127.0.0.2", "127.0.0.1"]
    before = len(names.lookups)
    await origin.until(lambda: len(names.lookups) > before)

    await client.get(f"{origin.url}/")

    assert (origin.accepted, origin.open) == (1, 1)


async def test_an_address_that_does_not_answer_gives_way_to_the_next(
    origin, client, names
):
    """Happy eyeballs: nothing listens on IPv6."""
    names.table[origin.name] = ["::1", "127.0.0.1"]

    assert (await client.get(f"{origin.url}/")).body == b"hello"
    assert origin.accepted == 1


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1"]
)
async def test_a_link_local_address_is_denied_behind_any_name(
    address, origin, client, names
):
    """403 that names the setting; the rest of the list does not help."""
    names.table[origin.name] = [address]

    response = await client.get(f"{origin.url}/")

    assert response.status == 403
    assert b"deny_destinations" in response.body
    assert "destination_ip_prohibited" in (response.value("proxy-status") or "")
    assert origin.accepted == 0


async def test_a_name_without_addresses_is_a_502(origin, client, names):
    """As one that does not exist."""
    names.table[origin.name] = []

    response = await client.get(f"{origin.url}/")

    assert response.status == 502
    assert "dns_error" in (response.value("proxy-status") or "")
