"""An origin that cannot be reached: refused at once after a while, probed, found again."""

import asyncio
import socket

import pytest

from tests.support.origin import Origin, serve_paths
from tests.support.scrape import admin_json, samples, scrape


@pytest.fixture
def nobodys():
    """A port at which nothing listens until the test says so."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder


async def failed_dials(proxy, authority):
    """Read how many dials of an origin have failed, from the metrics."""
    found = samples(
        await scrape(proxy.admin_address), "upstream_connect_failures_total"
    )
    return sum(count for key, count in found.items() if authority in key[-1])


async def breaker(proxy, url):
    """Read the gauge of an origin's breaker."""
    return samples(await scrape(proxy.admin_address), "breaker_open")[url,]


async def test_an_origin_that_is_down_is_dialled_five_times_and_then_not(
    make_proxy, make_client, nobodys
):
    """Five are told of their dial, the others at once why there is none, and when."""
    url = f"http://down.test:{nobodys.getsockname()[1]}"
    proxy = await make_proxy()
    client = await make_client(proxy)

    answers = [await client.get(f"{url}/") for _ in range(9)]

    assert [answer.status for answer in answers] == [502] * 5 + [503] * 4
    assert await failed_dials(proxy, url) == 5
    last = answers[-1]
    assert b"breaker_failures" in last.body
    assert b"Connection refused" in last.body
    assert "error=destination_unavailable" in last.value("proxy-status")
    assert 1 <= int(last.value("retry-after")) <= 5
    assert await breaker(proxy, url) == 1
    (view,) = (await admin_json(proxy.admin_address, "/api/v1/pools"))["origins"]
    assert (view["breaker_open"], view["failed_dials_in_a_row"]) == (True, 5)


async def test_an_origin_that_is_up_again_is_found_by_one_dial(
    make_proxy, make_client, nobodys
):
    """Ten requests after its time: one connection probes, and all are served."""
    port = nobodys.getsockname()[1]
    proxy = await make_proxy(breaker_failures=2, breaker_time="100ms")
    clients = [await make_client(proxy) for _ in range(10)]
    url = f"http://origin.test:{port}"
    for _ in range(3):
        assert (await clients[0].get(f"{url}/")).status in (502, 503)
    nobodys.close()

    async with Origin(serve_paths, listen=port) as origin:
        await asyncio.sleep(0.1)  # the time that is set: nothing tells of its end
        answers = await asyncio.gather(
            *(client.get(f"{url}/bytes/3") for client in clients)
        )
        assert [answer.status for answer in answers] == [200] * 10
        assert origin.accepted <= 10
        assert await breaker(proxy, url) == 0


async def test_a_tunnel_is_refused_at_once_too(make_proxy, make_client, nobodys):
    """CONNECT has an origin of its own, and a breaker with it."""
    port = nobodys.getsockname()[1]
    proxy = await make_proxy(connect_ports=port, breaker_failures=2)

    statuses = []
    for _ in range(4):
        client = await make_client(proxy)
        await client.send(
            f"CONNECT down.test:{port} HTTP/1.1\r\nHost: down.test:{port}\r\n\r\n".encode()
        )
        statuses.append((await client.response("CONNECT")).status)

    assert statuses == [502, 502, 503, 503]
