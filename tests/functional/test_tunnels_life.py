"""How tunnels end: by the idle limit, by a drain, by a stop; and five hundred at once."""

import asyncio
import resource
import socket

import pytest

from reuse_proxy.tasks import TaskSet
from tests.support.client import request_bytes
from tests.support.tunnels import (
    MIB,
    connect_bytes,
    descriptors,
    echo,
    echoed,
    gone,
    idle,
    only,
    opened,
    task_names,
)

MANY = 500
# Both ends of both hops are in this process, with some room for the rest of it.
DESCRIPTORS = 4 * MANY + 500


@pytest.fixture
async def tasks():
    """Run things beside the test; they are cancelled at its end."""
    tasks = TaskSet()
    yield tasks
    await tasks.aclose()


@pytest.fixture
def many_descriptors():
    """Raise the limit on open files where it is too low for the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < DESCRIPTORS:
        pytest.skip(f"no more than {hard} open files are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def send_slowly(client, *, until):
    """Send a byte now and then, until a task has ended."""
    while not until.done():
        await client.send(b".")
        await asyncio.wait([until], timeout=0.1)


@pytest.mark.parametrize("busy_script", [echo, idle], ids=["both ways", "one way"])
async def test_a_silent_tunnel_is_closed_after_the_idle_limit(
    tunnelling, make_origin, make_client, tasks, busy_script
):
    """Both of its sides are; one that moves bytes, if only one way, goes on."""
    silent_origin, busy_origin = await make_origin(echo), await make_origin(busy_script)
    proxy = await tunnelling(silent_origin, busy_origin, tunnel_idle_timeout="1s")
    silent = await opened(make_client, proxy, silent_origin)
    busy = await opened(make_client, proxy, busy_origin)

    ended = tasks.run(silent.until_closed(), name="the silent one")
    await send_slowly(busy, until=ended)
    again = tasks.run(asyncio.sleep(2.5), name="two sweeps more")
    await send_slowly(busy, until=again)

    assert await ended == b""
    await silent_origin.until(lambda: silent_origin.open == 0)
    assert len(proxy.tunnels.open) == busy_origin.open == 1


async def test_a_drain_ends_idle_tunnels_within_seconds(
    tunnelling, make_origin, make_client
):
    """Long before the timeout of the drain, and of tunnels."""
    origin = await make_origin(echo)
    proxy = await tunnelling(origin, shutdown_timeout="60s")
    client = await opened(make_client, proxy, origin)
    assert await echoed(client, b"last words") == b"last words"

    async with asyncio.timeout(12):
        assert await proxy.drain()

    assert await client.until_closed() == b""
    await gone(proxy)


async def test_a_drain_leaves_a_busy_tunnel_until_it_ends(
    tunnelling, make_origin, make_client, tasks
):
    """No new one is opened meanwhile."""
    origin = await make_origin(echo)
    proxy = await tunnelling(origin, tunnel_idle_timeout="1s")
    client = await opened(make_client, proxy, origin)
    late = await make_client(proxy)

    draining = tasks.run(proxy.drain(), name="drain")
    passed = tasks.run(asyncio.sleep(2.5), name="two sweeps")
    while not passed.done():
        assert await echoed(client, b"ping") == b"ping"
        await asyncio.wait([passed], timeout=0.1)
    assert not draining.done()
    assert await late.until_closed() == b""
    await client.close()

    async with asyncio.timeout(2):
        assert await draining


async def test_a_tunnel_that_outlasts_the_drain_is_reset(
    tunnelling, make_origin, make_client
):
    """Neither side may take what it got for a whole exchange."""
    ended = asyncio.get_running_loop().create_future()

    async def wait(connection):
        try:
            ended.set_result(await connection.reader.read())
        except ConnectionError as exc:
            ended.set_result(exc)

    origin = await make_origin(wait)
    proxy = await tunnelling(origin, shutdown_timeout="0s")
    client = await opened(make_client, proxy, origin)

    assert not await proxy.drain()
    await proxy.stop()

    assert await client.was_reset()
    assert isinstance(await ended, ConnectionResetError)


async def test_a_stop_with_open_tunnels_leaves_no_task_or_descriptor(
    make_proxy, make_origin, make_client
):
    """Tunnels that are idle, that wait to be read, and that wait to be opened."""
    origin = await make_origin(echo)
    before = descriptors(), task_names()
    proxy = await make_proxy(connect_ports=origin.port, max_sockets=2)
    quiet, full = [await opened(make_client, proxy, origin) for _ in range(2)]
    waiting = await make_client(proxy)
    await waiting.send(connect_bytes(origin.authority), b"early")
    full.writer.write(bytes(32 * 1024 * 1024))
    await origin.until(lambda: any(pool.waiters for pool in pools(proxy)))

    await proxy.stop()
    assert not proxy.tunnels.open
    assert proxy.session.pool.sockets == 0
    assert not proxy.server.connections
    for client in (quiet, full, waiting):
        client.writer.transport.abort()
    await origin.until(lambda: origin.open == 0)

    await origin.until(lambda: (descriptors(), task_names()) == before)


def pools(proxy):
    """Return the books of all origins."""
    return proxy.session.pool.origins.values()


async def test_a_tunnel_tells_what_it_has_carried(tunnelling, make_origin, make_client):
    """In its repr, which a debugger shows."""

    async def twice(connection):
        data = await connection.reader.readexactly(5)
        await connection.send(data, data)
        await connection.closed()

    origin = await make_origin(twice)
    proxy = await tunnelling(origin)
    client = await opened(make_client, proxy, origin)

    await client.send(b"hello")
    await client.reader.readexactly(10)

    assert repr(proxy.tunnels) == "<Tunnels 1 open>"
    assert repr(only(proxy)) == f"<Tunnel origin.test:{origin.port} up=5 down=10>"


@pytest.mark.timeout(40)
@pytest.mark.usefixtures("many_descriptors")
async def test_five_hundred_tunnels_carry_data_at_the_same_time(
    tunnelling, make_origin, make_client
):
    """All are open before the first byte, and a plain request is served beside."""
    origin, plain = await make_origin(echo), await make_origin(name="plain.test")
    proxy = await tunnelling(origin, max_sockets=600)
    clients = [await make_client(proxy) for _ in range(MANY)]

    async def ask(client):
        await client.send(connect_bytes(origin.authority))
        return await client.reader.readuntil(b"\r\n\r\n")

    async def carry(number, client):
        data = number.to_bytes(4, "big") * 2500
        return [await echoed(client, data) == data for _ in range(3)]

    async with asyncio.timeout(20):
        heads = await asyncio.gather(*map(ask, clients))
        await origin.until(lambda: origin.open == MANY)
        beside = await make_client(proxy)
        await beside.send(request_bytes(f"{plain.url}/"))
        carried = await asyncio.gather(
            *(carry(number, client) for number, client in enumerate(clients))
        )

        assert (await beside.response()).body == b"hello"
        assert heads == [b"HTTP/1.1 200 Connection Established\r\n\r\n"] * MANY
        assert carried == [[True] * 3] * MANY
        assert proxy.session.states()[f"origin.test:{origin.port}", "tunnel"] == MANY
        for client in clients:
            await client.close()
        await origin.until(lambda: not proxy.tunnels.open)


async def test_a_tunnel_whose_bytes_are_being_taken_is_not_idle(
    tunnelling, make_origin, make_client
):
    """The origin has said all; its client reads steadily, for longer than the limit."""

    async def script(connection):
        await connection.send(bytes(6 * MIB))
        await connection.closed()

    origin = await make_origin(script)
    proxy = await tunnelling(origin, tunnel_idle_timeout="2s")
    client = await make_client(proxy)
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    await client.connect(origin.authority)
    received, loop = 0, asyncio.get_running_loop()
    started = loop.time()
    while received < 6 * MIB and loop.time() - started < 5:
        received += len(await client.reader.read(32768))
        await asyncio.sleep(0.02)

    assert len(proxy.tunnels.open) == 1
    client.reset()


async def test_a_client_that_left_as_its_tunnel_began_is_forgotten(
    tunnelling, tasks, caplog
):
    """The origin says all it has to say at once, and nobody is there to be told."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        proxy = await tunnelling(connect_ports=str(port))
        address = proxy.listening[0]
        for _ in range(20):
            # In a thread: the origin's end is here before the proxy looks for it.
            farewell = tasks.run(asyncio.to_thread(say_farewell, listener), name="bye")
            with socket.create_connection((address.host, address.port)) as client:
                client.sendall(connect_bytes(f"origin.test:{port}") + b"hello")
                client.shutdown(socket.SHUT_WR)
                await farewell
            await gone(proxy)

    assert "an error of our own" not in caplog.text


def say_farewell(listener):
    """Accept a connection, say goodbye and close it."""
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"bye")
