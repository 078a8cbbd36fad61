"""CONNECT requests that are refused: rows A81 to A83, S3, S9 and S13.

Each gets a clear answer, the connection ends, and nothing is left behind.
"""

import asyncio
import contextlib
import socket

import pytest

from tests.support.client import request_bytes
from tests.support.machine import own_address
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
    opened,
    task_names,
    tunnelling_to_origins,
)

PROHIBITED = "destination_ip_prohibited"
# Every way in which our own listeners are at an address.
ALIASES = (
    "127.0.0.1",
    "127.0.0.2",
    "127.1",
    "localhost",
    "localhost.",
    "0.0.0.0",  # noqa: S104 - nothing is bound
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "anything.test",
)


@pytest.fixture
async def tunnelling(make_proxy):
    """Start proxies that allow tunnels to given origins."""
    async with tunnelling_to_origins(make_proxy) as make:
        yield make


@pytest.fixture
def nobodys_port():
    """A port at which nothing listens, and nothing will meanwhile."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


def free_port():
    """Return a port that nothing listens at yet."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


async def refused(client, authority, status, error="http_request_denied"):
    """Send a CONNECT with a request behind it; return the one answer that came."""
    smuggled = request_bytes("http://smuggled.test/")
    raw = connect_bytes(authority) + smuggled
    return await assert_refused(client, raw, status, error=error, method="CONNECT")


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


async def test_a81_an_origin_that_takes_too_long_is_504(
    make_proxy, make_client, names
):
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
    assert b"1 in all are open, 1 of them tunnels" in response.body
    assert origin.accepted == 1


async def test_a81_a_refused_connect_is_closed_at_once(proxy, make_client):
    """Nothing more is read from it, and nothing waited for."""
    client = await make_client(proxy)
    await client.send(connect_bytes("a.example:80"), b"bytes of a tunnel")

    async with asyncio.timeout(2):
        answer = await client.until_closed()
        await gone(proxy)

    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")


@pytest.mark.parametrize("listener", ["proxy", "admin"])
@pytest.mark.parametrize("host", ALIASES)
async def test_s3_own_listeners_cannot_be_reached_through_a_tunnel(
    make_proxy, make_client, names, host, listener
):
    """Whatever the spelling, though their ports are listed."""
    names.table["127.1"] = ["127.0.0.1"]
    port = free_port()
    at = {"proxy": "listen", "admin": "admin"}[listener]
    proxy = await make_proxy(**{at: f"127.0.0.1:{port}"}, connect_ports=port)
    client = await make_client(proxy)

    await refused(client, f"{host}:{port}", 403, "proxy_loop_detected")

    assert proxy.session.stats.denied == {"self": 1}


async def test_s3_own_interface_addresses_are_own_listeners_too(
    make_proxy, make_client
):
    """A port of ours on any address that this machine can bind."""
    port = free_port()
    proxy = await make_proxy(listen=f"127.0.0.1:{port}", connect_ports=port)
    client = await make_client(proxy)

    await refused(client, f"{own_address()}:{port}", 403, "proxy_loop_detected")


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "100.100.100.200",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "metadata.google.internal",
    ],
)
async def test_s9_metadata_services_are_denied_by_default(client, names, host):
    """As literals, and as what a name resolves to."""
    names.table["metadata.google.internal"] = ["169.254.169.254"]

    response = await refused(client, f"{host}:443", 403, PROHIBITED)

    assert b"deny_destinations" in response.body


async def test_s9_of_several_addresses_only_allowed_ones_are_dialled(
    tunnelling, make_client, make_origin, names
):
    """A name with a denied address first leads to its other one."""
    origin = await make_origin(echo, name="mixed.test")
    names.table["mixed.test"] = ["169.254.169.254", "127.0.0.1"]
    proxy = await tunnelling(origin)

    await opened(make_client, proxy, origin)

    assert proxy.session.connections()[0].address[0] == "127.0.0.1"


@pytest.mark.parametrize("host", ["10.0.0.1", "127.0.0.1", "[::1]", "inside.test"])
async def test_s11_deny_private_covers_tunnels(make_proxy, make_client, names, host):
    """Addresses and names alike."""
    names.table["inside.test"] = ["10.1.2.3"]
    client = await make_client(await make_proxy(deny_private="true"))

    response = await refused(client, f"{host}:443", 403, PROHIBITED)

    assert b"deny_private" in response.body


@pytest.mark.parametrize("port", [22, 25, 6379])
async def test_s13_a_denied_port_is_denied_even_if_it_is_listed(
    make_proxy, make_client, port
):
    """deny_ports counts for every request."""
    client = await make_client(await make_proxy(connect_ports=port))

    response = await refused(client, f"127.0.0.1:{port}", 403)

    assert b"deny_ports" in response.body


async def test_refusals_leave_no_descriptor_task_or_lease(
    tunnelling, make_client, make_origin, nobodys_port
):
    """Fifty of each kind, at the same time."""
    origin = await make_origin(echo)
    proxy = await tunnelling(connect_ports=f"{origin.port},{nobodys_port},443")
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

    assert origin.open == 0
