"""Requirement S15: look-ups of names are cached, shared and bounded."""

import asyncio

from reuse_proxy.config.loading import load
from reuse_proxy.service import Service
from tests.support.client import request_bytes


async def test_s15_an_address_is_looked_up_once_while_it_is_fresh(
    proxy, names, make_origin, make_client
):
    """Even if each request needs a new connection."""

    async def once(connection):
        await connection.request()
        await connection.reply(b"hello", b"Connection: close")

    origin = await make_origin(once)
    client = await make_client(proxy)
    for _ in range(3):
        await client.get(f"{origin.url}/")

    assert origin.accepted == 3
    assert names.lookups == ["origin.test"]


async def test_s15_lookups_of_one_name_are_shared(proxy, names, origin, make_client):
    """Five clients at once cost one look-up."""
    names.hold = asyncio.Event()
    clients = [await make_client(proxy) for _ in range(5)]
    for client in clients:
        await client.send(request_bytes(f"{origin.url}/"))
    await origin.until(lambda: sum(map(len, waiting(proxy))) == 5)
    names.hold.set()

    bodies = [(await client.response()).body for client in clients]

    assert bodies == [b"hello"] * 5
    assert names.lookups == ["origin.test"]


async def test_s15_an_unknown_name_is_not_asked_for_again_at_once(names, client):
    """A client in a loop does not flood the name server."""
    statuses = [(await client.get("http://gone.invalid/")).status for _ in range(5)]

    assert statuses == [502] * 5
    assert names.lookups == ["gone.invalid"]


async def test_s15_a_lookup_is_bounded_in_time(make_proxy, names, make_client):
    """The answer is 504 and names the error."""
    names.hold = asyncio.Event()
    client = await make_client(await make_proxy(connect_timeout=0.1))

    response = await client.get("http://slow.test/")

    assert response.status == 504
    assert "dns_timeout" in response.value("Proxy-Status")


async def test_s15_a_client_that_leaves_does_not_end_the_others_lookup(
    proxy, names, origin, make_client
):
    """The look-up belongs to all who wait for it."""
    names.hold = asyncio.Event()
    leaving, staying = await make_client(proxy), await make_client(proxy)
    for client in (leaving, staying):
        await client.send(request_bytes(f"{origin.url}/"))
    await origin.until(lambda: sum(map(len, waiting(proxy))) == 2)
    leaving.reset()
    await origin.until(lambda: sum(map(len, waiting(proxy))) == 1)
    names.hold.set()

    response = await staying.response()

    assert response.body == b"hello"


async def test_a_name_without_addresses_is_no_crash(names, client):
    """Resolvers have been seen to return an empty list."""
    names.table["empty.test"] = []

    response = await client.get("http://empty.test/")

    assert response.status == 502


def waiting(proxy):
    """The queues of all origins."""
    return [pool.waiters for pool in proxy.session.pool.origins.values()]


async def test_a_name_that_cannot_be_encoded_is_a_name_that_does_not_exist(
    make_client, caplog
):
    """The system's resolver refuses it with an error of another family."""
    loaded = load({"listen": "127.0.0.1:0", "admin": "127.0.0.1:0"}, {}, None)
    async with Service(loaded) as service:
        client = await make_client(service)
        response = await client.get(f"http://{'a' * 70}.test/")
        await client.close()

    assert response.status == 502
    assert response.value("Proxy-Status") == "reuse-proxy; error=dns_error"
    assert "Traceback" not in caplog.text
