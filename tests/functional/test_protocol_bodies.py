"""Request bodies, pipelines and patience: rows A12 to A14 and A19 to A22."""

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


def chunked(origin, body, *fields):
    """Spell a POST with a chunked body as it is given."""
    coding = "Transfer-Encoding: chunked"
    return request_bytes(
        f"{origin.url}/echo", coding, *fields, method="POST", body=body
    )


async def record_upload(connection):
    """Keep what comes after a head until the proxy closes, as raw bytes."""
    request = await connection.head()
    with contextlib.suppress(ConnectionError):
        while data := await connection.reader.read(65536):
            request.body += data


@pytest.mark.parametrize(
    "body",
    [
        b"100000000000000005\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"\r\n5\r\nhello\r\n0\r\n\r\n",
        b"g\r\nhello\r\n0\r\n\r\n",
        pytest.param(b"5;a\nb\r\nhello\r\n0\r\n\r\n", id="a13-newline-in-extension"),
        pytest.param(b"5;a\rb\r\nhello\r\n0\r\n\r\n", id="a13-return-in-extension"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a12_a13_a_malformed_chunk_is_refused(client, make_origin, body, at_once):
    """The origin never sees the end of such a body, with or without its head."""
    origin = await make_origin(record_upload)
    raw = chunked(origin, body)
    if not at_once:
        end = raw.index(b"\r\n\r\n") + 4
        await client.send(raw[:end])
        await origin.until(lambda: len(origin.requests) == 1)
        raw = raw[end:]

    await assert_refused(client, raw, method="POST")
    await origin.until(lambda: origin.open == 0)
    assert all(b"0\r\n\r\n" not in request.body for request in origin.requests)


async def test_a13_chunk_extensions_are_ignored_and_not_forwarded(client, make_origin):
    """They are of this hop, and mean nothing to us."""
    received = []

    async def script(connection):
        await connection.head()
        received.append(await connection.reader.readuntil(b"0\r\n\r\n"))
        await connection.reply(b"fine")

    origin = await make_origin(script)
    body = b'5;name="value";x\r\nhello\r\n0;last=1\r\n\r\n'
    await client.send(chunked(origin, body))

    assert (await client.response("POST")).body == b"fine"
    assert received == [b"5\r\nhello\r\n0\r\n\r\n"]


async def test_a13_a_chunk_extension_without_end_is_refused(client, origin):
    """A megabyte of it carries no content, so it is an attack."""
    await client.send(chunked(origin, b"5;"))
    await origin.until(lambda: origin.accepted == 1)

    await assert_refused(client, b"x" * (2**20 + 1), method="POST")
    assert origin.accepted == 1


async def test_a13_trailers_without_end_are_refused(client, origin):
    """Not one of them is kept, and they do not go on for ever."""
    await client.send(chunked(origin, b"5\r\nhello\r\n0\r\n"))
    await origin.until(lambda: origin.accepted == 1)

    await assert_refused(client, b"X-A: b\r\n" * 2**18, method="POST")


TRAILERS = ["Authorization: Basic eDp5", "X-Checksum: 1", "Host: x.test", "X: 0"]


@pytest.mark.parametrize("trailer", TRAILERS)
async def test_a14_trailers_are_dropped(client, origin, trailer):
    """They are read, and never merged into the head."""
    body = f"5\r\nhello\r\n0\r\n{trailer}\r\n\r\n".encode()
    await client.send(chunked(origin, body, "Trailer: X-Checksum"))
    response = await client.response("POST")

    name, _, value = trailer.partition(": ")
    assert response.body == b"hello"
    assert value.encode() not in origin.requests[0].values(name.encode())
    assert origin.requests[0].values(b"trailer") == []


@pytest.mark.parametrize("trailer", [*TRAILERS, "Connection: host", "Cookie: a=b"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_a14_a_trailer_is_no_field_of_the_next_request(
    client, origin, trailer, at_once
):
    """The next request on the same connection is served without it."""
    body = f"5\r\nhello\r\n0\r\n{trailer}\r\n\r\n".encode()
    first, second = chunked(origin, body), request_bytes(f"{origin.url}/second")
    await client.send(first + second if at_once else first)
    await client.response("POST")
    if not at_once:
        await client.send(second)
    await client.response()

    assert len(origin.requests) == 2
    for request in origin.requests:
        assert {line.partition(b":")[0] for line in request.lines} <= {
            *(b"Host", b"Via", b"Transfer-Encoding"),
        }
        assert request.values(b"host") == [origin.authority]


@pytest.mark.parametrize(
    "rest",
    [
        b"0\r\nX-Trailer: 1\r\n\r\n",
        b"0;last\r\n\r\n",
        b"0\r\n\r\nGET http://never.test/ HTTP/1.1\r\nHost: never.test\r\n\r\n",
    ],
    ids=["trailer", "extension", "pipelined"],
)
async def test_a14_an_upload_that_is_here_before_it_is_accepted_is_served(
    proxy, origin, rest
):
    """All of it in the packet after the handshake, as Go sends it."""
    request = chunked(origin, b"3\r\nabc\r\n" + rest)
    heads = 1 + request.count(b"GET ")
    host, port = proxy.listening[0].host, proxy.listening[0].port
    for _ in range(10):
        # The loop does not run between the two, so both wait for it.
        with socket.create_connection((host, port)) as early:
            early.sendall(request)
            early.setblocking(False)  # noqa: FBT003 - the standard library's
            reader, writer = await asyncio.open_connection(sock=early)
            answer = b""
            async with asyncio.timeout(10):
                while (
                    answer.count(b"HTTP/1.1 ") < heads or b"\r\n\r\nabc" not in answer
                ):
                    answer += await reader.read(65536)
            writer.close()

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.count(b"HTTP/1.1 ") == heads


@pytest.mark.parametrize("last_chunk", [[b"0\r\n\r\n"], [b"0\r\n", b"\r\n"]])
async def test_a14_a_chunked_request_without_trailers_keeps_its_connection(
    client, origin, last_chunk
):
    """However its last chunk is cut into packets."""
    for number in range(1, 4):
        await client.send(chunked(origin, b"5\r\nhello\r\n"))
        await origin.until(lambda seen=number: len(origin.requests) >= seen)
        for piece in last_chunk:
            await client.send(piece)
            await asyncio.sleep(0)

        assert (await client.response("POST")).body == b"hello"
    assert len(origin.requests) == 3


@pytest.mark.parametrize("trailer", ["Content-Length: 99", "Transfer-Encoding: gzip"])
async def test_a14_a_trailer_that_is_about_framing_is_refused(client, origin, trailer):
    """Stricter than ignoring it: such a field has no business there."""
    body = f"5\r\nhello\r\n0\r\n{trailer}\r\n\r\n".encode()

    await assert_refused(client, chunked(origin, body), method="POST")
    assert_untouched(origin)


async def test_a19_pipelined_requests_wait_for_the_slow_first_one(client, origin):
    """The second and third are answered after it, in their order."""
    paths = ("wait", "bytes/2", "bytes/3")
    await client.send(*(request_bytes(f"{origin.url}/{path}") for path in paths))
    await origin.until(lambda: len(origin.requests) >= 1)

    origin.release.set()
    bodies = [(await client.response()).body for _ in paths]

    assert bodies == [b"done", b"xx", b"xxx"]


async def test_a20_what_follows_connection_close_in_one_packet_is_not_processed(
    client, origin
):
    """Recorded: the parser then refuses both, which is safe."""
    last = request_bytes(f"{origin.url}/last", "Connection: close")
    await client.send(last, request_bytes(f"{origin.url}/after"))

    received = await client.until_closed()

    assert received.count(b"HTTP/1.1 ") == 1
    assert b"/after" not in [request.target for request in origin.requests]


async def test_a20_what_follows_connection_close_later_is_not_processed(client, origin):
    """The first request is served; the second comes while it is."""
    await client.send(request_bytes(f"{origin.url}/wait", "Connection: close"))
    await origin.until(lambda: len(origin.requests) == 1)
    await client.send(request_bytes(f"{origin.url}/after"))
    origin.release.set()

    received = await client.until_closed()

    assert received.count(b"HTTP/1.1 ") == 1
    assert [request.target for request in origin.requests] == [b"/wait"]


async def test_a21_a22_a_body_over_the_limit_is_413_and_never_parsed_as_a_request(
    make_proxy, make_client, origin
):
    """Its length is known from the head; its bytes look like a request."""
    client = await make_client(await make_proxy(max_request_body=10))
    smuggled = request_bytes(f"{origin.url}/smuggled")
    length = f"Content-Length: {len(smuggled)}"
    raw = request_bytes(f"{origin.url}/", length, method="POST", body=smuggled)

    await assert_refused(client, raw, 413)
    assert_untouched(origin)


async def test_a22_an_announced_length_over_the_limit_is_413_before_any_byte_of_it(
    make_proxy, make_client, origin
):
    """No body byte is sent at all."""
    client = await make_client(await make_proxy(max_request_body=10))
    await client.send(
        request_bytes(f"{origin.url}/", "Content-Length: 11", method="POST")
    )

    assert_own_error(await client.response("POST"), 413)
    assert_untouched(origin)


async def test_a22_a_head_that_drips_in_is_408(make_proxy, make_client, origin):
    """The time runs from the first byte; more bytes do not extend it."""
    client = await make_client(await make_proxy(client_head_timeout=0.2))
    raw = request_bytes(f"{origin.url}/")

    async def drip():
        for byte in raw:
            client.writer.write(bytes([byte]))
            await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as tasks:
        dripping = tasks.create_task(drip())
        response = await client.response()
        dripping.cancel()

    assert_own_error(response, 408)
    assert_untouched(origin)


async def test_a22_a_body_that_stops_is_408(make_proxy, make_client, origin):
    """The upload is announced and never completed."""
    client = await make_client(await make_proxy(client_body_timeout=0.2))
    raw = request_bytes(
        f"{origin.url}/", "Content-Length: 9", method="POST", body=b"part"
    )

    await assert_refused(client, raw, 408, method="POST")


async def test_a22_an_idle_connection_is_closed_without_a_word(
    make_proxy, make_client, origin
):
    """Nobody asked for anything, so nothing is answered."""
    client = await make_client(await make_proxy(client_idle_timeout=0.2))
    await client.get(f"{origin.url}/")

    assert await client.rest() == b""


async def test_a22_a_body_that_outgrows_the_limit_in_the_queue_is_413(
    make_proxy, make_client, origin
):
    """All of it is here when its turn comes, and none of it is sent."""
    proxy = await make_proxy(max_request_body=1000, max_per_origin=1)
    busy, client = await make_client(proxy), await make_client(proxy)
    await busy.send(request_bytes(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == 1)
    (pool,) = proxy.session.pool.origins.values()
    await client.send(chunked(origin, b"5\r\nhello\r\n"))
    await origin.until(lambda: len(pool.waiters) == 1)
    await client.send(b"%x\r\n" % 5000 + b"z" * 5000 + b"\r\n0\r\n\r\n")
    waiting = next(
        c for c in proxy.server.clients if c.exchange and not c.exchange.pool
    )
    await origin.until(lambda: waiting.request.complete)
    origin.release.set()
    response = await client.response("POST")

    assert_own_error(response, 413)
    assert (await busy.response()).body == b"done"
    assert b"z" not in b"".join(request.body for request in origin.requests)


async def test_a22_a_chunked_body_over_the_limit_is_413(
    make_proxy, make_client, origin
):
    """It announces no length, so it is counted."""
    client = await make_client(await make_proxy(max_request_body=1000))
    await client.send(chunked(origin, b"%x\r\n" % 5000 + b"z" * 5000 + b"\r\n"))
    response = await client.response("POST")

    assert_own_error(response, 413)


@pytest.mark.parametrize("protocol", ["foo", "websocket"])
async def test_a20_what_comes_with_a_request_to_upgrade_is_no_request(
    client, make_origin, protocol
):
    """It is another protocol's, or nothing: so a body of it is never a request."""
    origin = await make_origin()
    upgrade = ("Connection: Upgrade", f"Upgrade: {protocol}")
    smuggled = request_bytes(f"{origin.url}/smuggled")
    post = request_bytes(
        f"{origin.url}/echo", f"Content-Length: {len(smuggled)}", method="POST"
    )
    await client.send(request_bytes(f"{origin.url}/first", *upgrade), post)
    first = await client.response()
    with contextlib.suppress(ConnectionError):
        await client.send(smuggled)
    rest = await client.until_closed()

    assert first.body == b"hello"
    assert first.value("Connection") == "close"
    assert rest == b""
    assert [request.target for request in origin.requests] == [b"/first"]


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
async def test_a21_the_body_of_a_request_to_upgrade_is_read_to_its_end(
    client, origin, protocol
):
    """In packets of its own."""
    upgrade = ("Connection: Upgrade", f"Upgrade: {protocol}", "Content-Length: 6")
    await client.send(request_bytes(f"{origin.url}/echo", *upgrade, method="POST"))
    await origin.until(lambda: origin.accepted == 1)
    await client.send(b"abc")
    await client.send(b"def")

    response = await client.response("POST")

    assert response.body == b"abcdef"
    assert (await client.get(f"{origin.url}/next")).body == b"hello"
    assert [request.target for request in origin.requests] == [b"/echo", b"/next"]
