"""Listeners that were opened by a service manager: used, kept, handed from one to the next."""

import asyncio
import contextlib
import os
import signal
import socket

import pytest

from reuse_proxy.config.address import Address
from tests.support.activation import activated, address_of, listening
from tests.support.client import Client, request_bytes
from tests.support.load import Load
from tests.support.scrape import admin_get, samples, scrape


@pytest.fixture
def sockets():
    """A listening socket for the proxy, one for its admin listener."""
    with listening() as proxy, listening() as admin:
        yield proxy, admin


NAMES = ("proxy", "admin")


async def test_passed_sockets_are_listened_on_in_place_of_the_settings(local, sockets):
    """Both; the addresses of the settings stay free."""
    proxy, admin = sockets
    with listening() as taken:
        busy = str(address_of(taken))
        flags = ("--listen", busy, "--admin", "127.0.0.1:0")
        async with activated(sockets, NAMES, *flags) as server:
            await server.ready()
            async with Client(address_of(proxy)) as client:
                response = await client.get(f"{local.url}/")
            ready = await admin_get(address_of(admin), "/readyz")

    assert (server.listening, server.admin) == (address_of(proxy), address_of(admin))
    assert response.body == b"hello"
    assert ready.status == 200


async def test_a_unix_socket_may_be_passed(local, tmp_path):
    """Its file is its maker's, and stays."""
    path = tmp_path / "proxy.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        async with activated([sock], ["proxy"], "--admin", "127.0.0.1:0") as server:
            await server.ready()
            async with Client(Address(path=str(path))) as client:
                response = await client.get(f"{local.url}/")
            server.signal()
            code = await server.exit_code()

    assert server.listening == Address(path=str(path))
    assert response.body == b"hello"
    assert code == 0
    assert path.exists()


async def test_a_restart_refuses_nobody(local, sockets):
    """Whoever connects while no process serves is served by the next one."""
    proxy, _ = sockets
    async with activated(sockets, NAMES) as server:
        await server.ready()
        server.signal()
        assert await server.exit_code() == 0
    async with Client(address_of(proxy)) as client:
        await client.send(request_bytes(f"{local.url}/"))
        assert not local.requests
        async with activated(sockets, NAMES) as server:
            await server.ready()
            response = await client.response()

    assert response.body == b"hello"


async def test_a_passed_socket_beyond_loopback_needs_its_list(sockets):
    """Exit code 2 and the sentence; with the list it is taken."""
    _, admin = sockets
    with listening("0.0.0.0") as proxy:  # noqa: S104 - it is what is refused
        async with activated([proxy, admin], NAMES) as server:
            code = await server.exit_code()
        async with activated(
            [proxy, admin], NAMES, "--allow-clients", "10.0.0.0/8"
        ) as allowed:
            await allowed.ready()

    assert code == 2
    assert any("allow_clients" in line for line in server.log)
    assert not any("Traceback" in line for line in server.log)


async def test_a_manager_is_told_when_it_is_ready_and_when_it_stops(sockets, tmp_path):
    """READY=1 comes when requests are served; the watchdog goes on in between."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(0)
        loop = asyncio.get_running_loop()
        environment = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "100000",
        }
        async with activated(sockets, NAMES, environment=environment) as server:
            async with asyncio.timeout(20):
                first = await loop.sock_recv(manager, 4096)
            ready = await admin_get(address_of(sockets[1]), "/readyz")
            fed = await loop.sock_recv(manager, 4096)
            server.signal()
            told = fed
            async with asyncio.timeout(20):
                while b"STOPPING=1" not in told:
                    told = await loop.sock_recv(manager, 4096)
            assert await server.exit_code() == 0

    assert first.startswith(b"READY=1\nSTATUS=listening on 127.0.0.1:")
    assert ready.status == 200
    assert fed == b"WATCHDOG=1"


async def test_a_second_process_takes_over_under_load_and_no_request_fails(
    local, sockets
):
    """Twenty clients ask all the time, on kept and on new connections; three processes.

    Each begins before the one before it drains, so nobody even waits.
    """
    load = Load(address_of(sockets[0]), f"{local.url}/bytes/2000", size=2000)
    codes = []
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(activated(sockets, NAMES))
        await server.ready()
        async with load.running(clients=20):
            for _ in range(2):
                await load.more(200)
                successor = await stack.enter_async_context(activated(sockets, NAMES))
                await successor.ready()
                await load.more(200)
                server.signal(signal.SIGTERM)
                codes.append(await server.exit_code())
                server = successor
            await load.more(200)
        text = await scrape(address_of(sockets[1]))

    assert codes == [0, 0]
    assert load.answered >= 1000
    assert local.accepted <= 3 * 32
    # Only what the last one served is left to be asked for.
    assert 200 <= sum(samples(text, "requests_total").values()) < load.answered


async def test_a_manager_that_kills_leaves_the_listener_to_the_next(local, sockets):
    """SIGKILL: exchanges under way are lost, nobody is refused."""
    proxy, _ = sockets
    async with activated(sockets, NAMES) as server:
        await server.ready()
        os.kill(server.pid, signal.SIGKILL)
        await server.exit_code()
    async with activated(sockets, NAMES) as server, Client(address_of(proxy)) as client:
        response = await client.get(f"{local.url}/")

    assert response.body == b"hello"
