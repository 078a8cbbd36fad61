"""CONNECT requests that are refused: rows A81 to A83 of the requirements.

Each gets a clear answer, the connection ends, and nothing is left behind.
"""

import asyncio
import contextlib
import socket

import pytest

from tests.support.client import request_bytes
from tests.support.own_errors import (
    assert_own_error,
    assert_refused,
    assert_untouched,
)
from tests.support.tunnels import (
    connect_bytes,
    descriptors,
    echo,
    gone,
    idle,
    opened,
    refused,
    task_names,
)

PROHIBITED = "destination_ip_prohibited"


@pytest.fixture
def nobodys_port():
    """A port at which nothing listens, and nothing will meanwhile."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


async def test_a82_a_port_that_is_not_listed_is_403(tunnelling, make_client, origin):
    """The answer names the setting and what it allows."""
    client = await make_client(await tunnelling())

    response = await refused(client, origin.authority, 403)

    assert b"(connect_ports = none)" in response.body
    assert_untouched(origin)


async def test_a82_only_443_and_8443_are_listed_by_default(client, names):
    """Everything else is refused before a name is looked up."""
    response = await refused(client, "a.example:80", 403)

    assert b"(connect_ports = 443, 8443)" in response.body
    assert names.lookups == []


async def test_a82_refusals_by_port_are_counted(proxy, make_client):
    """By the name of the rule."""
    for _ in range(2):
        await refused(await make_client(proxy), "a.example:80", 403)

    assert proxy.session.stats.denied == {"connect_ports": 2}


@pytest.mark.parametrize(
    "field",
    [
        b"Content-Length: 5",
        b"Content-Length: 0",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
    ],
)
async def test_a83_connect_has_no_body(tunnelling, make_client, make_origin, field):
    """What would follow could be read in two ways."""
    origin = await make_origin(echo)
    client = await make_client(await tunnelling(origin))
    raw = connect_bytes(origin.authority, field) + b"5\r\nhello\r\n0\r\n\r\n"

    await assert_refused(client, raw, 400, method="CONNECT")

    assert_untouched(origin)


@pytest.mark.parametrize(
    ("authority", "status", "error"),
    [
        ("no-port", 400, "http_request_error"),
        ("origin.test:1", 403, "http_request_denied"),
        ("169.254.169.254:443", 403, PROHIBITED),
        ("unknown.invalid:443", 502, "dns_error"),
    ],
)
async def test_a81_a_request_behind_a_refused_connect_is_not_served(
    proxy, make_client, make_origin, authority, status, error
):
    """Neither one in the same packet nor one that comes after the answer."""
    origin = await make_origin()
    client = await make_client(proxy)
    await client.send(connect_bytes(authority), request_bytes(f"{origin.url}/at-once"))
    response = await client.response("CONNECT")
    with contextlib.suppress(ConnectionError):
        await client.send(request_bytes(f"{origin.url}/later"))

    assert_own_error(response, status, error)
    assert response.value("Connection") == "close"
    assert await client.rest() == b""
    assert_untouched(origin)


async def test_a81_nothing_listens_there(tunnelling, make_client, nobodys_port):
    """502, and the error names what happened."""
    client = await make_client(await tunnelling(connect_ports=nobodys_port))
    authority = f"127.0.0.1:{nobodys_port}"

    await refused(client, authority, 502, "connection_refused")


async def test_a81_an_origin_that_takes_too_long_is_504(make_proxy, make_client, names):
    """Here it is the look-up; the answer names the setting."""
    names.hold = asyncio.Event()
    client = await make_client(await make_proxy(connect_timeout="0.1s"))

    response = await refused(client, "slow.test:443", 504, "dns_timeout")

    assert b"connect_timeout" in response.body


async def test_a81_no_place_within_the_queue_timeout_is_503(
    tunnelling, make_client, make_origin
):
    """The answer says how many of the sockets are tunnels."""
    origin = await make_origin(echo)
    proxy = await tunnelling(origin, max_sockets=1, queue_timeout="0.1s")
    await opened(make_client, proxy, origin)
    client = await make_client(proxy)

    response = await refused(client, origin.authority, 503, "connection_limit_reached")

    assert response.value("Retry-After") == "1"
    assert b"1 in all are open, 1 of these tunnels" in response.body
    assert origin.accepted == 1


async def test_a81_a_refused_connect_is_closed_at_once(proxy, make_client):
    """Nothing more is read from it, and nothing waited for."""
    client = await make_client(proxy)
    await client.send(connect_bytes("a.example:80"), b"bytes of a tunnel")

    async with asyncio.timeout(2):
        answer = await client.until_closed()
        await gone(proxy)

    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")


async def test_refusals_leave_no_descriptor_task_or_lease(
    tunnelling, make_client, make_origin, nobodys_port
):
    """Fifty of each kind, at the same time."""
    origin = await make_origin(echo)
    proxy = await tunnelling(
        connect_ports=f"{origin.port},{nobodys_port},443", breaker_failures=0
    )
    before = descriptors(), task_names()
    authorities = [
        "no-port",
        "origin.test:1",
        "169.254.169.254:443",
        "unknown.invalid:443",
        f"127.0.0.1:{nobodys_port}",
    ]
    clients = [await make_client(proxy) for _ in authorities * 50]
    for client, authority in zip(clients, authorities * 50, strict=True):
        await client.send(connect_bytes(authority), b"early bytes")

    answers = [await client.until_closed() for client in clients]
    for client in clients:
        await client.close()
    await gone(proxy)

    statuses = [answer.split(b" ")[1] for answer in answers]
    assert statuses == [b"400", b"403", b"403", b"502", b"502"] * 50
    assert (descriptors(), task_names()) == before
    assert proxy.session.connections() == []
    assert_untouched(origin)


async def test_a_client_that_leaves_while_its_connect_waits_leaves_nothing_behind(
    tunnelling, make_client, make_origin
):
    """No tunnel is opened for it, and the next in line gets its turn."""
    origin = await make_origin(echo)
    proxy = await tunnelling(origin, max_sockets=1)
    first = await opened(make_client, proxy, origin)
    leaving, staying = await make_client(proxy), await make_client(proxy)
    (pool,) = proxy.session.pool.origins.values()
    for number, client in enumerate([leaving, staying], start=1):
        await client.send(connect_bytes(origin.authority), b"early")
        await origin.until(lambda n=number: len(pool.waiters) == n)

    leaving.reset()
    await origin.until(lambda: len(pool.waiters) == 1)
    await first.close()

    assert (await staying.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    assert await staying.reader.readexactly(5) == b"early"
    assert origin.accepted == 2
    assert proxy.session.stats.origins[f"origin.test:{origin.port}"].requests == {
        (2, "tunnel"): 2,
        (4, "none"): 1,
    }


async def test_a_client_that_leaves_while_its_tunnel_is_dialled_leaves_nothing_behind(
    tunnelling, make_client, make_origin, names
):
    """The connection that nobody came to claim is closed after a second."""
    names.hold = asyncio.Event()
    origin = await make_origin(echo)
    proxy = await tunnelling(origin)
    client = await make_client(proxy)
    await client.send(connect_bytes(origin.authority), b"early")
    await origin.until(lambda: bool(names.lookups))

    client.reset()
    await origin.until(lambda: not proxy.server.connections)
    names.hold.set()
    await origin.until(lambda: origin.accepted == 1)
    await gone(proxy)

    await origin.until(lambda: origin.open == 0)


async def test_a_connection_that_nobody_claimed_and_its_origin_closed_serves_no_other(
    tunnelling, make_client, make_origin, names
):
    """The next client's tunnel is dialled anew, and works."""

    async def close_the_first(connection):
        if connection.number > 1:
            await echo(connection)

    names.hold = asyncio.Event()
    origin = await make_origin(close_the_first)
    proxy = await tunnelling(origin)
    leaving, staying = await make_client(proxy), await make_client(proxy)
    await leaving.send(connect_bytes(origin.authority))
    await origin.until(lambda: bool(names.lookups))
    leaving.reset()
    await origin.until(lambda: len(proxy.server.connections) == 1)
    names.hold.set()
    await origin.until(lambda: origin.accepted == 1 and origin.open == 0)

    await staying.send(connect_bytes(origin.authority), b"hello")
    head = await staying.reader.readuntil(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 ")
    assert await staying.reader.read(5) == b"hello"
    assert origin.accepted == 2


@pytest.mark.parametrize("size", [1000, 200_000])
async def test_a_client_with_early_bytes_that_is_reset_leaves_the_queue(
    tunnelling, make_origin, make_client, size
):
    """Also when it was stopped because it had sent more than is held."""
    origin = await make_origin(idle)
    proxy = await tunnelling(origin, max_sockets=1, queue_timeout="60s")
    await opened(make_client, proxy, origin)
    (pool,) = proxy.session.pool.origins.values()
    client = await make_client(proxy)
    await client.send(connect_bytes(origin.authority), bytes(size))
    async with asyncio.timeout(5):
        while not pool.waiters:
            await asyncio.sleep(0.01)
    client.reset()
    async with asyncio.timeout(5):
        while pool.waiters:
            await asyncio.sleep(0.01)
    origin.release.set()
