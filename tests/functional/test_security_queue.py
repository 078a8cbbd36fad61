"""Requirement S21: the queue is bounded, fair, and holds nobody who has left."""

from tests.support.client import request_bytes


async def test_s21_a_full_queue_refuses_at_once(make_proxy, origin, make_client):
    """One is served, one waits, the third is told to come again."""
    proxy = await make_proxy(max_per_origin=1, max_queue=1)
    clients = [await make_client(proxy) for _ in range(3)]
    for number, client in enumerate(clients[:2]):
        await client.send(request_bytes(f"{origin.url}/wait"))
        await origin.until(lambda n=number: origin.requests and queued(proxy) == n)

    refused = await clients[2].get(f"{origin.url}/")

    assert refused.status == 503
    assert refused.value("Retry-After") == "1"
    origin.release.set()
    assert [(await client.response()).body for client in clients[:2]] == [b"done"] * 2
    assert origin.accepted == 1


async def test_s21_waiting_is_bounded_in_time(make_proxy, origin, make_client):
    """The sentence names the setting, and the place is given up."""
    proxy = await make_proxy(max_per_origin=1, queue_timeout=0.1)
    busy, late = await make_client(proxy), await make_client(proxy)
    await busy.send(request_bytes(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == 1)

    refused = await late.get(f"{origin.url}/")

    assert refused.status == 503
    assert b"queue_timeout" in refused.body
    assert queued(proxy) == 0
    origin.release.set()
    assert (await busy.response()).body == b"done"


async def test_s21_a_client_that_leaves_the_queue_leaves_nothing_behind(
    make_proxy, origin, make_client
):
    """Its request is never sent, and the next in line is served."""
    proxy = await make_proxy(max_per_origin=1)
    busy, leaving, staying = [await make_client(proxy) for _ in range(3)]
    for number, (client, path) in enumerate(
        [(busy, "wait"), (leaving, "left"), (staying, "stayed")]
    ):
        await client.send(request_bytes(f"{origin.url}/{path}"))
        await origin.until(lambda n=number: origin.requests and queued(proxy) == n)
    leaving.reset()
    await origin.until(lambda: queued(proxy) == 1)
    origin.release.set()

    assert (await busy.response()).body == b"done"
    assert (await staying.response()).body == b"hello"
    assert [request.target for request in origin.requests] == [b"/wait", b"/stayed"]
    assert origin.accepted == 1


async def test_s21_one_busy_origin_does_not_take_all_places(
    make_proxy, make_origin, make_client
):
    """Ten requests wait at one origin; another one is served."""
    proxy = await make_proxy(max_sockets=4, max_per_origin=3)
    hot, other = await make_origin(name="hot.test"), await make_origin()
    crowd = [await make_client(proxy) for _ in range(10)]
    for client in crowd:
        await client.send(request_bytes(f"{hot.url}/wait"))
    await hot.until(lambda: len(hot.requests) == 3)

    response = await (await make_client(proxy)).get(f"{other.url}/")

    assert response.body == b"hello"
    assert hot.accepted == 3
    hot.release.set()
    assert [(await client.response()).body for client in crowd] == [b"done"] * 10
    assert hot.accepted == 3


async def test_s21_one_client_cannot_take_all_places_by_pipelining(
    make_proxy, origin, make_client
):
    """Its requests are served one after another."""
    proxy = await make_proxy(max_per_origin=2)
    greedy, other = await make_client(proxy), await make_client(proxy)
    await greedy.send(request_bytes(f"{origin.url}/wait") * 10)
    await origin.until(lambda: len(origin.requests) == 1)

    response = await other.get(f"{origin.url}/")

    assert response.body == b"hello"
    origin.release.set()
    for _ in range(10):
        await greedy.response()


def queued(proxy):
    """How many requests wait."""
    return sum(len(pool.waiters) for pool in proxy.session.pool.origins.values())
