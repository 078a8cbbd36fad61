"""Reload and what is open: pooled connections, tunnels and clients go by it (S14)."""

import asyncio

import pytest

from reuse_proxy.config.loading import load
from reuse_proxy.errors import SettingsError
from reuse_proxy.service import Service
from tests.support.books import assert_balanced
from tests.support.client import Client, request_bytes
from tests.support.intercepting import intercepted
from tests.support.load import Load
from tests.support.machine import own_address
from tests.support.parent import parent_url
from tests.support.scrape import samples, scrape
from tests.support.tunnels import echo, echoed


@pytest.fixture
async def reloading(names):
    """Start a proxy whose settings are in a dictionary that the test changes."""
    given = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "client_processes": "false",
    }

    def read():
        return load(given, {}, None)

    async with Service(read(), resolver=names, read=read) as service:

        async def change(**settings):
            given.update({name: str(value) for name, value in settings.items()})
            return await service.reloads.reload()

        yield service, change
        await assert_balanced(service)


async def closed(service, url):
    """Read from the metrics why connections to an origin were closed."""
    found = samples(
        await scrape(service.admin_address), "upstream_connections_closed_total"
    )
    return {key[1]: int(count) for key, count in found.items() if key[0] == url}


async def test_s14_an_origin_that_is_denied_now_is_not_served_from_the_pool(
    reloading, origin
):
    """Its idle connection is closed at once; the next request is 403, not reused."""
    service, change = reloading
    async with Client(service.listening[0]) as client:
        assert (await client.get(f"{origin.url}/")).status == 200
        assert origin.open == 1

        await change(deny_destinations="127.0.0.0/8")
        await origin.until(lambda: origin.open == 0)
        answer = await client.get(f"{origin.url}/")

    assert answer.status == 403
    assert b"deny_destinations" in answer.body
    assert (origin.accepted, len(origin.requests)) == (1, 1)
    assert await closed(service, origin.url) == {"policy": 1}


@pytest.mark.parametrize("setting", ["deny_private", "deny_ports"])
async def test_s14_every_rule_about_destinations_applies(reloading, origin, setting):
    """By address and by port."""
    service, change = reloading
    async with Client(service.listening[0]) as client:
        await client.get(f"{origin.url}/")
        value = "true" if setting == "deny_private" else origin.port
        await change(**{setting: value})
        await origin.until(lambda: origin.open == 0)

        assert (await client.get(f"{origin.url}/")).status == 403


async def test_s14_an_exchange_under_way_ends_and_its_connection_is_not_reused(
    reloading, origin
):
    """The response is whole; then the connection goes."""
    service, change = reloading
    async with Client(service.listening[0]) as client:
        await client.send(request_bytes(f"{origin.url}/wait"))
        await origin.until(lambda: len(origin.requests) == 1)

        await change(deny_private="true")
        assert origin.open == 1
        origin.release.set()
        response = await client.response()
        await origin.until(lambda: origin.open == 0)

    assert response.body == b"done"
    assert await closed(service, origin.url) == {"policy": 1}


async def test_s14_a_tunnel_to_what_is_denied_now_is_ended(reloading, make_origin):
    """Both its sides; nothing else would tell when it is over."""
    service, change = reloading
    origin = await make_origin(echo)
    await change(connect_ports=origin.port)
    async with Client(service.listening[0]) as client:
        assert await client.connect(origin.authority) == 200
        await change(deny_private="true")
        await client.until_closed()
        await origin.until(lambda: origin.open == 0)

    assert not service.tunnels.open


async def test_what_is_allowed_still_keeps_its_connection(reloading, origin):
    """A reload alone costs nothing."""
    service, change = reloading
    async with Client(service.listening[0]) as client:
        for number in range(3):
            assert (await client.get(f"{origin.url}/")).status == 200
            await change(max_queue=100 + number, deny_destinations="10.0.0.0/8")

    assert origin.accepted == 1


async def test_a_lower_cap_closes_idle_connections_and_holds_from_then_on(
    reloading, origin
):
    """Eight idle ones, a cap of two: six go, and ten at once need no third."""
    service, change = reloading
    await change(dial_patience="0s")
    clients = [await Client(service.listening[0]).__aenter__() for _ in range(10)]
    for client in clients[:8]:
        await client.send(request_bytes(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == 8)
    origin.release.set()
    for client in clients[:8]:
        await client.response()
    assert origin.open == 8

    await change(max_per_origin=2)
    await origin.until(lambda: origin.open == 2)
    answers = await asyncio.gather(
        *(client.get(f"{origin.url}/bytes/5") for client in clients)
    )
    for client in clients:
        await client.__aexit__(None, None, None)

    assert [answer.status for answer in answers] == [200] * 10
    assert (origin.accepted, origin.open) == (8, 2)
    assert await closed(service, origin.url) == {"evicted": 6}


@pytest.mark.parametrize("cap", ["max_per_origin", "max_sockets"])
async def test_a_lower_cap_is_reached_though_requests_always_wait(
    reloading, make_origin, cap
):
    """Twelve clients that never rest: what they give back goes, not to the next of them."""
    service, change = reloading

    async def take_time(connection):
        while True:
            await connection.request()
            await asyncio.sleep(0.01)
            await connection.reply(b"12345")

    origin = await make_origin(take_time)
    await change(dial_patience="0s")
    load = Load(service.listening[0], f"{origin.url}/", size=5)
    async with load.running(clients=12):
        await origin.until(lambda: origin.open >= 6)

        await change(**{cap: 2})
        await origin.until(lambda: origin.open <= 2)
        accepted = origin.accepted
        await load.more(200)

        assert origin.open <= 2
    assert origin.accepted == accepted


async def test_a_lower_cap_of_all_sockets_does_so_too(reloading, make_origin):
    """One idle connection to each of four origins; two may stay, the newest."""
    service, change = reloading
    origins = [await make_origin(name=f"{name}.test") for name in "abcd"]
    async with Client(service.listening[0]) as client:
        for origin in origins:
            await client.get(f"{origin.url}/")
        await change(max_sockets=2)
        await origins[0].until(lambda: sum(o.open for o in origins) == 2)

    assert [origin.open for origin in origins] == [0, 0, 1, 1]


async def test_another_authority_closes_what_the_one_before_has_vouched_for(
    reloading, tls_origin, authority
):
    """The origin's certificate is verified anew, and refused."""
    service, change = reloading
    await change(ca_file=authority.file, originate_tls="origin.test")
    url = tls_origin.url.replace("https", "http")
    async with Client(service.listening[0]) as client:
        assert (await client.get(f"{url}/")).status == 200

        await change(ca_file="none")
        await tls_origin.until(lambda: tls_origin.open == 0)
        answer = await client.get(f"{url}/")

    assert answer.status == 502
    assert await closed(service, tls_origin.url) == {"reload": 1}


async def test_origination_begins_and_ends_with_a_reload(
    reloading, tls_origin, authority
):
    """From the next request on."""
    service, change = reloading
    url = tls_origin.url.replace("https", "http")
    statuses = []
    async with Client(service.listening[0]) as client:
        for hosts in ("none", "origin.test", "none"):
            await change(ca_file=authority.file, originate_tls=hosts)
            statuses.append((await client.get(f"{url}/")).status)

    assert statuses == [502, 200, 502]


async def test_clients_that_may_be_here_no_more_get_no_other_request(names, origin):
    """Their response is whole; the next connection is refused."""
    address = own_address()
    given = {"listen": f"{address}:0", "admin": "127.0.0.1:0"}
    given["allow_clients"] = f"{address}/32"
    service = Service(load(given, {}), resolver=names, read=lambda: load(given, {}))
    async with service:
        asking, idle = (Client(service.listening[0]) for _ in range(2))
        async with asking, idle:
            await idle.get(f"{origin.url}/")
            await asking.send(request_bytes(f"{origin.url}/wait"))
            await origin.until(lambda: len(origin.requests) == 2)

            given["allow_clients"] = "10.255.255.255/32"
            await service.reloads.reload()
            assert await idle.until_closed() == b""
            origin.release.set()
            assert (await asking.response()).body == b"done"
            assert await asking.until_closed() == b""
        async with Client(service.listening[0]) as again:
            assert (await again.get(f"{origin.url}/")).status == 403


async def test_the_tunnels_of_clients_that_may_be_here_no_more_are_ended(
    names, make_origin
):
    """Nothing else would end them; that of a client that may stay goes on."""
    origin = await make_origin(echo)
    address = own_address()
    given = {"listen": f"{address}:0", "admin": "127.0.0.1:0"}
    given |= {"allow_clients": f"{address}/32", "connect_ports": str(origin.port)}
    service = Service(load(given, {}), resolver=names, read=lambda: load(given, {}))
    async with service, Client(service.listening[0]) as client:
        assert await client.connect(origin.authority) == 200
        given["max_queue"] = "99"
        await service.reloads.reload()
        assert await echoed(client, b"still here") == b"still here"

        given["allow_clients"] = "10.255.255.255/32"
        await service.reloads.reload()
        await client.until_closed()
        await origin.until(lambda: origin.open == 0)


@pytest.mark.parametrize("change_to", [{"intercept": "none"}, {"connect_ports": "443"}])
async def test_an_intercepted_client_is_let_go_when_its_host_is_opened_no_more(
    reloading, tls_origin, authority, local_ca, change_to
):
    """Or its port is not allowed any more: what it asks next would be neither."""
    service, change = reloading
    await change(
        ca_file=authority.file,
        connect_ports=tls_origin.port,
        intercept="origin.test",
        ca_dir=local_ca.folder,
    )
    host = f"Host: {tls_origin.authority.decode()}"
    async with intercepted(service, tls_origin, local_ca) as client:
        assert (await client.ask("/", host)).status == 200

        await change(max_queue=99)
        assert (await client.ask("/", host)).status == 200
        await change(**change_to)
        assert await client.until_closed() == b""


async def test_a_proxy_that_stops_is_not_reloaded(reloading):
    """What it would change is about to end."""
    service, change = reloading
    await service.drain()

    with pytest.raises(SettingsError, match="stopping"):
        await change(max_queue=5)


async def test_intercepted_hosts_change_with_a_reload(
    reloading, tls_origin, authority, local_ca
):
    """A CONNECT is a tunnel before, and is opened with the local CA after."""
    service, change = reloading
    await change(ca_file=authority.file, connect_ports=tls_origin.port)
    opened = []
    for hosts in ("none", "origin.test"):
        await change(intercept=hosts, ca_dir=local_ca.folder)
        async with Client(service.listening[0]) as client:
            assert await client.connect(tls_origin.authority) == 200
            opened.append(len(service.tunnels.open))

        async with asyncio.timeout(5):
            while service.tunnels.open:
                await asyncio.sleep(0.01)

    assert opened == [1, 0]


async def test_another_parent_is_another_way_from_the_next_request_on(
    reloading, make_parent, origin
):
    """With a parent, with other credentials, with none: no connection is mixed up."""
    service, change = reloading
    parent = await make_parent()
    async with Client(service.listening[0]) as client:
        assert (await client.get(f"{origin.url}/")).body == b"hello"
        for login, accepted in (("", 1), ("u:p", 2), ("u:q", 3), ("u:q", 3)):
            await change(parent_proxy=parent_url(parent, login))
            through = await client.get(f"{origin.url}/")

            assert through.body == f"{origin.url}/".encode()
            assert parent.accepted == accepted
        await change(no_parent="*.test")
        assert (await client.get(f"{origin.url}/")).body == b"hello"
        await change(no_parent="none", parent_proxy="none")
        assert (await client.get(f"{origin.url}/")).body == b"hello"

    assert origin.accepted == 1
    sent = [request.values(b"proxy-authorization") for request in parent.requests]
    assert [len(values) for values in sent] == [0, 1, 1, 1]
    assert sent[2] == sent[3] != sent[1]


async def test_s14_what_is_denied_now_behind_a_parent_is_let_go_of(
    reloading, make_parent, make_origin
):
    """The tunnel to it ends; the connection to the parent itself is none of that."""
    service, change = reloading
    parent, origin = await make_parent(), await make_origin(echo)
    await change(parent_proxy=parent_url(parent), connect_ports=origin.port)
    async with (
        Client(service.listening[0]) as client,
        Client(service.listening[0]) as other,
    ):
        assert await client.connect(f"10.1.2.3:{origin.port}") == 200
        await other.get("http://a.elsewhere/")
        await change(deny_private="true")
        await client.until_closed()
        await origin.until(lambda: origin.open == 0)
        again = await other.get("http://a.elsewhere/")

    assert again.status == 200
    assert parent.accepted == 2
    assert await closed(service, f"10.1.2.3:{origin.port}") == {"policy": 1}


async def test_s14_a_dial_that_began_before_the_reload_serves_once(
    reloading, tls_origin, authority
):
    """It is in its handshake when its origin is denied: not reused, and the next is 403."""
    service, change = reloading
    dialled, go_on = asyncio.Event(), asyncio.Event()

    async def relay(reader, writer):
        dialled.set()
        await go_on.wait()
        up_reader, up_writer = await asyncio.open_connection(
            "127.0.0.1", tls_origin.port
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(copy(reader, up_writer))
            group.create_task(copy(up_reader, writer))

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await change(ca_file=authority.file, originate_tls="origin.test")
        async with Client(service.listening[0]) as client:
            await client.send(request_bytes(f"http://origin.test:{port}/"))
            await dialled.wait()
            await change(deny_private="true")
            go_on.set()
            first = await client.response()
            second = await client.get(f"http://origin.test:{port}/")

    assert (first.status, second.status) == (200, 403)
    assert await closed(service, f"https://origin.test:{port}") == {"policy": 1}


async def copy(reader, writer):
    """Copy bytes, and then the end."""
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()
