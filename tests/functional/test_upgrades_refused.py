"""Upgrade requests that become no tunnel, and what becomes of connections after one."""

import asyncio

import pytest

from tests.support.client import request_bytes
from tests.support.own_errors import assert_own_error
from tests.support.tunnels import descriptors, echo, gone, task_names

WEBSOCKET = ("Connection: Upgrade", "Upgrade: websocket")
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\n\r\n"
)


async def either(connection):
    """Switch where that is asked for, after what the path says; else say hello."""
    while True:
        request = await connection.request()
        if request.target == b"/wait":
            await connection.origin.release.wait()
        if request.values(b"upgrade"):
            await connection.send(SWITCH)
            await echo(connection)
            return
        await connection.reply(request.body or b"hello")


@pytest.fixture
async def switching(make_origin):
    """An origin that switches protocols when it is asked to."""
    return await make_origin(either)


async def switched(client, origin):
    """Switch a client's connection."""
    await client.send(request_bytes(f"{origin.url}/", *WEBSOCKET))
    async with asyncio.timeout(15):
        head = await client.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head


@pytest.mark.parametrize("status", [200, 400, 426])
@pytest.mark.parametrize("protocol", ["websocket", "foo"])
async def test_a59_an_origin_that_does_not_switch_is_heard_normally(
    proxy, client, make_origin, status, protocol
):
    """Then the connection is closed: what follows could be of the other protocol."""

    async def script(connection):
        while True:
            await connection.request()
            await connection.reply(b"no thanks", status=status)

    origin = await make_origin(script)
    fields = ("Connection: Upgrade", f"Upgrade: {protocol}")
    await client.send(
        request_bytes(f"{origin.url}/", *fields), request_bytes(f"{origin.url}/behind")
    )
    response = await client.response()

    assert (response.status, response.body) == (status, b"no thanks")
    assert response.value("Connection") == "close"
    assert await client.rest() == b""
    assert [request.target for request in origin.requests] == [b"/"]
    assert proxy.session.connections()[0].state == "idle"


async def test_a59_the_origins_connection_is_pooled_if_it_did_not_switch(
    proxy, make_client, origin
):
    """A refused handshake costs no connection."""
    for _ in range(3):
        client = await make_client(proxy)
        assert (await client.get(f"{origin.url}/", *WEBSOCKET)).body == b"hello"

    assert origin.accepted == 1


@pytest.mark.parametrize(
    "fields",
    [
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAA"),
        ("Connection: Upgrade", "Upgrade: h2c, HTTP/2.0"),
        ("Upgrade: websocket",),
        ("Connection: keep-alive", "Upgrade: foo"),
    ],
)
async def test_a59_a_client_that_is_not_switched_may_go_on(client, switching, fields):
    """HTTP/2 is not offered to the origin, and what Connection does not name is not."""
    first = await client.get(f"{switching.url}/", *fields)
    second = await client.get(f"{switching.url}/")

    assert [first.status, second.status] == [200, 200]
    assert first.value("Connection") is None
    for name in (b"upgrade", b"connection", b"http2-settings"):
        assert switching.requests[0].values(name) == []


async def test_a59_a_request_behind_an_offer_of_http_2_is_one(client, switching):
    """We do not take the offer, so what follows is HTTP/1.1 still."""
    fields = ("Connection: Upgrade", "Upgrade: h2c")
    await client.send(
        request_bytes(f"{switching.url}/", *fields),
        request_bytes(f"{switching.url}/behind"),
    )
    responses = [await client.response() for _ in range(2)]

    assert [response.status for response in responses] == [200, 200]
    assert [request.target for request in switching.requests] == [b"/", b"/behind"]


async def test_a59_http_2_is_left_out_of_what_is_offered(client, switching):
    """The other protocols of the list are passed on."""
    fields = ("Connection: Upgrade", "Upgrade: h2c, websocket, HTTP/2.0")
    await client.send(request_bytes(f"{switching.url}/", *fields))

    head = await client.reader.readuntil(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 101 ")
    assert switching.requests[0].values(b"upgrade") == [b"websocket"]


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("Content-Length: 5", b"12345"),
        ("Transfer-Encoding: chunked", b"5\r\n12345\r\n0\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("protocol", ["websocket", "foo"])
async def test_a59_with_a_body_upgrade_is_stripped_and_the_request_served(
    client, switching, field, body, protocol
):
    """Where the body ends and the other protocol begins is not to be guessed."""
    fields = ("Connection: Upgrade", f"Upgrade: {protocol}", field)
    raw = request_bytes(f"{switching.url}/", *fields, method="POST", body=body)
    await client.send(raw)
    response = await client.response("POST")

    assert (response.status, response.body) == (200, b"12345")
    assert switching.requests[0].values(b"upgrade") == []


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"Upgrade: websocket"],
        [b"Connection: Upgrade"],
        [b"Upgrade:", b"Connection: Upgrade"],
        [b"Upgrade: websocket", b"Connection: keep-alive"],
    ],
)
async def test_a60_a_101_that_does_not_say_to_what_is_502(
    proxy, make_client, make_origin, lines
):
    """Nothing behind it reaches the client, and the connection is not used again."""

    async def script(connection):
        await connection.request()
        head = [b"HTTP/1.1 101 Switching Protocols", *lines, b"", b""]
        await connection.send(b"\r\n".join(head), b"bytes of a tunnel")
        await connection.closed()

    origin = await make_origin(script)
    client = await make_client(proxy)
    await client.send(request_bytes(f"{origin.url}/", *WEBSOCKET), b"early")
    response = await client.response()

    assert_own_error(response, 502, "http_upgrade_failed")
    assert response.interim == []
    assert await client.rest() == b""
    assert not proxy.session.connections()


async def test_a60_a_connection_that_was_switched_is_never_pooled(
    proxy, make_client, switching
):
    """Though it was a pooled one before."""
    client = await make_client(proxy)
    assert (await client.get(f"{switching.url}/")).body == b"hello"
    await switched(client, switching)
    assert switching.accepted == 1
    await client.close()
    await gone(proxy)

    response = await (await make_client(proxy)).get(f"{switching.url}/")

    assert response.body == b"hello"
    assert switching.accepted == 2
    stats = proxy.session.stats.origins[switching.url]
    assert stats.closed == {"tunnel_end": 1}
    assert stats.requests == {(2, "new"): 2, (1, "tunnel"): 1}
    assert (stats.reused, stats.tunnels_opened) == (1, 1)


async def test_a_switched_connection_makes_room_under_the_cap_of_its_origin(
    make_proxy, make_client, switching
):
    """It counts under the global cap alone, as every tunnel."""
    proxy = await make_proxy(max_per_origin=1, max_sockets=2)
    tunnel, client = await make_client(proxy), await make_client(proxy)
    await switched(tunnel, switching)

    assert (await client.get(f"{switching.url}/")).body == b"hello"

    assert proxy.session.states()[switching.url, "tunnel"] == 1
    assert proxy.session.states()[switching.url, "idle"] == 1
    assert proxy.session.pool.sockets == 2


async def test_a_client_that_leaves_before_the_101_leaves_nothing_behind(
    proxy, make_client, switching
):
    """The connection to the origin is closed: it may switch at any moment."""
    before = descriptors(), task_names()
    client = await make_client(proxy)
    await client.send(request_bytes(f"{switching.url}/wait", *WEBSOCKET), b"early")
    await switching.until(lambda: len(switching.requests) == 1)

    client.reset()
    await switching.until(lambda: not proxy.server.connections)
    switching.release.set()
    await gone(proxy)

    await switching.until(lambda: switching.open == 0)
    await switching.until(lambda: (descriptors(), task_names()) == before)
