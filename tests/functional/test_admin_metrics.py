"""The numbers of /metrics against what the origin and the kernel know."""

import asyncio

import pytest

from tests.support.client import request_bytes
from tests.support.scrape import ESTABLISHED, kernel_connections, samples, scrape


async def numbers(proxy, name):
    """Scrape one metric."""
    return samples(await scrape(proxy.admin_address), name)


async def by_state(proxy, origin):
    """Connections to an origin by state, those that there are."""
    found = await numbers(proxy, "upstream_connections")
    return {
        state: n for (label, state), n in found.items() if label == origin.url and n
    }


async def agree(proxy, origin, states):
    """Hold our numbers against the kernel's and the origin's."""
    assert await by_state(proxy, origin) == states
    assert kernel_connections(to_port=origin.port) == {
        ESTABLISHED: sum(states.values())
    }
    kernel = await numbers(proxy, "kernel_sockets")
    assert kernel["established",] == sum(kernel.values()) == sum(states.values())
    assert origin.open == sum(states.values())
    opened = await numbers(proxy, "upstream_connections_opened_total")
    assert opened == {(origin.url,): origin.accepted}


async def test_connections_agree_with_the_kernel_in_every_state(
    make_proxy, origin, make_client
):
    """Three active; then one of them drains; then all idle."""
    proxy = await make_proxy(drain_timeout=10)
    clients = [await make_client(proxy) for _ in range(3)]
    for client in clients:
        await client.send(request_bytes(f"{origin.url}/hold"))
        await client.reader.readuntil(b"\r\n\r\nab")
    await agree(proxy, origin, {"active": 3})

    clients[0].reset()
    (pool,) = proxy.session.pool.origins.values()
    await origin.until(lambda: bool(pool.draining))
    await agree(proxy, origin, {"active": 2, "draining": 1})

    origin.release.set()
    for client in clients[1:]:
        await client.reader.readuntil(b"cd")
    await origin.until(lambda: len(pool.idle) == 3)
    await agree(proxy, origin, {"idle": 3})


async def test_a_dial_under_way_is_counted(proxy, names, origin, client):
    """It is a socket to be, and counts."""
    names.hold = asyncio.Event()
    await client.send(request_bytes(f"{origin.url}/"))
    await origin.until(lambda: bool(proxy.session.pool.origins))

    states = await by_state(proxy, origin)

    assert states == {"connecting": 1}
    assert (await numbers(proxy, "queue_length"))[origin.url,] == 1
    names.hold.set()
    assert (await client.response()).body == b"hello"


async def test_totals_agree_with_the_origin(proxy, make_origin, make_client):
    """Opened, reused, closed and requests, after closes of every side."""

    async def every_third(connection):
        for _ in range(3):
            await connection.request()
            await connection.reply(b"x")

    origin = await make_origin(every_third)
    for _ in range(10):
        client = await make_client(proxy)
        await client.get(f"{origin.url}/")
        await client.close()

    opened = (await numbers(proxy, "upstream_connections_opened_total"))[origin.url,]
    reused = (await numbers(proxy, "upstream_connections_reused_total"))[origin.url,]
    closed = await numbers(proxy, "upstream_connections_closed_total")
    requests = await numbers(proxy, "requests_total")
    assert opened == origin.accepted == 4
    assert opened + reused == len(origin.requests) == 10
    assert sum(closed.values()) == 3
    # The labels by name: code_class, origin, via.
    assert requests == {
        ("2xx", origin.url, "new"): opened,
        ("2xx", origin.url, "reused"): reused,
    }
    carried = await numbers(proxy, "upstream_requests_per_connection_sum")
    assert carried == {(): 9}


async def test_errors_of_ours_are_counted_by_class(proxy, origin, make_client):
    """Refused by policy, by name, and by nobody listening."""
    client = await make_client(proxy)
    await client.get("http://169.254.169.254/")
    await client.get("http://gone.invalid/")

    requests = await numbers(proxy, "requests_total")
    failures = await numbers(proxy, "upstream_connect_failures_total")

    assert requests == {
        ("4xx", "http://169.254.169.254:80", "none"): 1,
        ("5xx", "http://gone.invalid:80", "none"): 1,
    }
    assert failures["dns_error", "http://gone.invalid:80"] == 1


async def test_s7_labels_are_bounded_and_sums_are_whole(
    make_proxy, make_origin, make_client
):
    """Six origins under three labels and `other`; no connection is lost in it."""
    proxy = await make_proxy(metrics_max_origins=3)
    client = await make_client(proxy)
    origins = [await make_origin(name=f"o{number}.test") for number in range(6)]
    for origin in origins:
        for _ in range(2):
            await client.get(f"{origin.url}/")

    opened = await numbers(proxy, "upstream_connections_opened_total")

    known = [origin.url for origin in origins[:3]]
    assert opened == {**{(url,): 1 for url in known}, ("other",): 3}
    states = await numbers(proxy, "upstream_connections")
    assert states["other", "idle"] == 3


async def test_no_series_ever_disappears(make_proxy, make_origin, make_client):
    """Not when connections expire, not when the origin is forgotten."""
    proxy = await make_proxy(idle_timeout=0.1, max_lifetime=1)
    origin = await make_origin()
    await (await make_client(proxy)).get(f"{origin.url}/")
    before = await scrape(proxy.admin_address)
    await origin.until(lambda: not proxy.session.pool.origins)

    after = await scrape(proxy.admin_address)

    def series(text):
        return {line.rpartition(" ")[0] for line in text.splitlines()} - {"#"}

    assert series(before) - series(after) == set()


@pytest.mark.parametrize("bad", ["host", "label"])
async def test_a_hostile_name_does_not_break_the_exposition(proxy, make_client, bad):
    """What is allowed in a host is escaped in a label."""
    client = await make_client(proxy)
    host = "a$&'()*+,;=!~.invalid" if bad == "host" else "x" * 200 + ".invalid"
    await client.get(f"http://{host}/")

    requests = await numbers(proxy, "requests_total")

    assert requests == {("5xx", f"http://{host}:80", "none"): 1}
