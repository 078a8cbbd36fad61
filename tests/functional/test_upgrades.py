"""Upgrade over plain HTTP: WebSocket and whatever else; rows A59 and A60."""

import asyncio

import pytest

from tests.support.client import request_bytes
from tests.support.tunnels import MIB, behind, echo, gone, pour

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
# What intake.py holds, and the most that a loop reads at once.
MOST_HELD = 64 * 1024 + 256 * 1024
# More than the kernel's buffers can take.
FLOOD = 64 * MIB
# What no proxy may take for a request.
OPTIMISTIC = b"GET http://smuggled.test/ HTTP/1.1\r\nHost: smuggled.test\r\n\r\n"


def upgrade_bytes(origin, protocol="websocket", *fields, path="/chat"):
    """Spell a request to switch protocols."""
    return request_bytes(
        f"{origin.url}{path}", "Connection: Upgrade", f"Upgrade: {protocol}", *fields
    )


def switch(*lines, protocol=b"websocket"):
    """Spell an origin's answer that switches."""
    head = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: " + protocol]
    return b"\r\n".join([*head, b"Connection: Upgrade", *lines, b"", b""])


def switching(*, ahead=b"", protocol=b"websocket"):
    """Make a script that switches to an echo, once the origin's `release` is set."""

    async def script(connection):
        request = await connection.request()
        while not request.values(b"upgrade"):
            await connection.reply(b"hello")
            request = await connection.request()
        await connection.origin.release.wait()
        assert not connection.asked
        await connection.send(switch(protocol=protocol), ahead)
        await echo(connection)

    return script


@pytest.fixture
async def make_switching(make_origin):
    """Start origins that switch protocols at once."""

    async def make(**options):
        origin = await make_origin(switching(**options))
        origin.release.set()
        return origin

    return make


async def switched(client, origin, *pieces, protocol="websocket"):
    """Switch a client's connection; return the head that told so."""
    await client.send(upgrade_bytes(origin, protocol), *pieces)
    async with asyncio.timeout(15):
        head = await client.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    return head


@pytest.mark.parametrize("protocol", ["websocket", "foo", "IRC/6.9, RTA/x11"])
async def test_a60_any_protocol_but_http_2_is_passed_on(
    client, make_switching, protocol
):
    """The request as it came, and Connection for this hop; likewise the answer."""
    origin = await make_switching(protocol=protocol.encode())
    await client.send(upgrade_bytes(origin, protocol, KEY))
    head = await client.reader.readuntil(b"\r\n\r\n")
    await client.send(b"\x81\x02hi")

    (request,) = origin.requests
    assert request.line == b"GET /chat HTTP/1.1"
    assert request.values(b"upgrade") == [protocol.encode()]
    assert request.values(b"connection") == [b"Upgrade"]
    assert KEY.encode() in request.lines
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
    assert b"Upgrade: " + protocol.encode() in lines
    assert b"Connection: Upgrade" in lines
    assert [line[:20] for line in lines if line.startswith(b"Via")] == [
        b"Via: 1.1 reuse-proxy"
    ]
    assert await client.reader.readexactly(4) == b"\x81\x02hi"


@pytest.mark.parametrize("protocol", ["websocket", "foo"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_a60_bytes_sent_before_the_101_reach_the_origin_behind_it(
    client, names, make_origin, protocol, at_once
):
    """In the request's packet or in later ones, and never as a request of their own."""
    origin = await make_origin(switching(protocol=protocol.encode()))
    head = upgrade_bytes(origin, protocol)
    await client.send(head, *([OPTIMISTIC] if at_once else []))
    await origin.until(lambda: len(origin.requests) == 1)
    for byte in () if at_once else OPTIMISTIC:
        await client.send(bytes([byte]))
        await asyncio.sleep(0)
    await client.send(OPTIMISTIC)
    origin.release.set()

    told = await client.reader.readuntil(b"\r\n\r\n")

    assert told.startswith(b"HTTP/1.1 101 ")
    expected = OPTIMISTIC * 2
    assert await client.reader.readexactly(len(expected)) == expected
    assert names.lookups == ["origin.test"]


async def test_a60_more_bytes_than_are_held_before_the_101_stop_the_client(
    proxy, client, make_origin
):
    """And all arrive once the origin has switched."""
    origin = await make_origin(switching())
    await client.send(upgrade_bytes(origin))
    await origin.until(lambda: len(origin.requests) == 1)
    (inside,) = proxy.server.connections

    sent = await pour(client.writer, FLOOD)
    assert sent < FLOOD
    assert len(inside.intake.held) <= MOST_HELD
    origin.release.set()
    await client.reader.readuntil(b"\r\n\r\n")

    assert await client.reader.readexactly(sent) == bytes(sent)


async def test_a60_bytes_in_one_packet_with_the_101_reach_the_client(
    client, make_switching
):
    """They follow the head, and are no HTTP either."""
    ahead = b"HTTP/1.1 200 OK\r\n\r\n\x81\x05hello"
    origin = await make_switching(ahead=ahead)

    await switched(client, origin, b"early")

    assert await client.reader.readexactly(len(ahead) + 5) == ahead + b"early"


async def test_a60_what_an_origin_sends_before_it_closes_at_once_is_delivered(
    proxy, make_client, make_origin
):
    """The 101 with it: the origin has switched, and said all that it had to say."""

    async def script(connection):
        await connection.request()
        await connection.send(switch(), b"and goodbye")

    origin = await make_origin(script)
    for _ in range(10):
        client = await make_client(proxy)
        await client.send(upgrade_bytes(origin))

        received = await client.until_closed()

        assert received.startswith(b"HTTP/1.1 101 ")
        assert received.endswith(b"\r\n\r\nand goodbye")


async def test_a60_interim_responses_may_come_before_the_101(client, make_origin):
    """They are passed on, and the switch is the last word."""

    async def script(connection):
        await connection.request()
        await connection.send(b"HTTP/1.1 103 Early Hints\r\n\r\n", switch())
        await echo(connection)

    origin = await make_origin(script)
    await client.send(upgrade_bytes(origin), b"early")

    assert await client.reader.readuntil(b"\r\n\r\n") == (
        b"HTTP/1.1 103 Early Hints\r\n\r\n"
    )
    assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    assert await client.reader.readexactly(5) == b"early"


async def test_a60_a63_a_101_carries_no_framing(client, make_origin):
    """Content-Length and Transfer-Encoding have no place on 1xx."""

    async def script(connection):
        await connection.request()
        await connection.send(switch(b"Content-Length: 9", b"X-A: 1"))
        await echo(connection)

    origin = await make_origin(script)
    head = await switched(client, origin, b"early")

    assert b"X-A: 1\r\n" in head
    assert b"Content-Length" not in head
    assert await client.reader.readexactly(5) == b"early"


@pytest.mark.parametrize("size", [1, 7, 40])
async def test_a60_a_handshake_that_comes_in_pieces_switches(
    client, make_switching, size
):
    """As WebSocket; of other protocols it is not known what would follow."""
    origin = await make_switching()
    head = upgrade_bytes(origin)
    for at in range(0, len(head), size):
        await client.send(head[at : at + size])
        await asyncio.sleep(0)

    received = await client.reader.readuntil(b"\r\n\r\n")

    assert received.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("path", ["", "bytes/100000"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_a60_an_upgrade_follows_a_plain_request_on_the_same_connection(
    client, origin, make_switching, path, at_once
):
    """Pipelined or not: nothing of the response is lost, nor of what follows."""
    switches = await make_switching()
    first, second = request_bytes(f"{origin.url}/{path}"), upgrade_bytes(switches)
    await client.send(first, *((second, b"early") if at_once else ()))
    response = await client.response()
    if not at_once:
        await client.send(second, b"early")

    received = await behind(client, b"early")

    assert response.status == 200
    assert response.value("Connection") is None
    assert received.startswith(b"HTTP/1.1 101 ")
    assert received.endswith(b"\r\n\r\nearly")


@pytest.mark.parametrize("side", ["client", "origin"])
async def test_a80_a_half_close_is_carried_over(proxy, client, make_origin, side):
    """The other direction goes on."""
    heard = asyncio.get_running_loop().create_future()

    async def script(connection):
        await connection.request()
        await connection.send(switch())
        if side == "origin":
            await connection.reader.readexactly(1)
            connection.writer.write_eof()
        heard.set_result(await connection.reader.read())
        if side == "client":
            await connection.send(b"goodbye")

    origin = await make_origin(script)
    await switched(client, origin)
    if side == "origin":
        await client.send(b"?")
        assert await client.reader.read() == b""
    await client.send(b"the rest")
    client.shut_writing()

    assert await client.until_closed() == (b"goodbye" if side == "client" else b"")
    assert await heard == b"the rest"
    await gone(proxy)


async def test_a80_a_half_close_before_the_101_is_carried_over(
    proxy, client, make_origin
):
    """A client may say all it has to say at once."""
    heard = asyncio.get_running_loop().create_future()

    async def script(connection):
        await connection.request()
        await connection.origin.release.wait()
        await connection.send(switch())
        heard.set_result(await connection.reader.read())
        await connection.send(b"goodbye")

    origin = await make_origin(script)
    await client.send(upgrade_bytes(origin), b"all I have to say")
    await origin.until(lambda: len(origin.requests) == 1)
    client.shut_writing()
    (inside,) = proxy.server.connections
    await origin.until(lambda: inside.half_closed)
    origin.release.set()

    received = await client.until_closed()

    assert received.endswith(b"\r\n\r\ngoodbye")
    assert await heard == b"all I have to say"
    await gone(proxy)


@pytest.mark.parametrize("protocol", ["tcp", "websocket"])
@pytest.mark.parametrize("cut", [20, 70, -4, -3, -2, -1])
async def test_a60_a_head_that_comes_in_pieces_switches_too(
    client, make_switching, protocol, cut
):
    """Wherever it is cut; what comes behind it is still the other protocol's."""
    origin = await make_switching(protocol=protocol.encode())
    raw = upgrade_bytes(origin, protocol)
    await client.send(raw[:cut])
    await asyncio.sleep(0.02)  # or the kernel would join the pieces
    await client.send(raw[cut:], b"early")
    received = await behind(client, b"early")

    assert received.startswith(b"HTTP/1.1 101 ")
    assert received.endswith(b"\r\n\r\nearly")


async def test_a60_an_origin_with_tls_that_closes_with_its_101_is_heard(
    make_proxy, make_client, make_origin, authority
):
    """TLS cannot be half-closed, so that the connection is gone before we turn to it."""

    async def script(connection):
        await connection.request()
        await connection.send(switch(), b"all of it")

    origin = await make_origin(script, tls=authority.server())
    proxy = await make_proxy(ca_file=authority.file)
    for _ in range(5):
        client = await make_client(proxy)
        await client.send(upgrade_bytes(origin))
        received = await client.until_closed()

        assert received.startswith(b"HTTP/1.1 101 ")
        assert received.endswith(b"\r\n\r\nall of it")
