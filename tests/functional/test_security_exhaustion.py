"""Requirements S16 to S18: clients that take up time and memory."""

import asyncio
import socket

import pytest

from tests.support.client import Client, request_bytes
from tests.support.machine import own_address


async def drip(client, data, *, every=0.02):
    """Send byte by byte until the proxy closes; return what it answered."""
    closed = asyncio.get_running_loop().create_task(client.until_closed())
    for position in range(len(data)):
        if client.writer.transport.is_closing():
            break
        client.writer.write(data[position : position + 1])
        await asyncio.wait([closed], timeout=every)
    return await closed


# S16: heads...


async def test_s16_a_head_that_began_during_a_response_has_its_time_too(
    make_proxy, make_client, origin
):
    """Its first bytes came while the request before it was being served."""
    client = await make_client(await make_proxy(client_head_timeout=0.3))
    await client.send(request_bytes(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == 1)
    await client.send(b"GET http://origin.test/ HT")
    origin.release.set()

    first, last = await client.response(), await client.until_closed()

    assert first.body == b"done"
    assert last.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("start", [b"G", b"GET http://a.test/ HTTP/1.1\r\nHost: a"])
async def test_s16_a_head_that_stops_is_answered_with_408(
    make_proxy, make_client, start
):
    """The sentence names the setting."""
    client = await make_client(await make_proxy(client_head_timeout=0.1))
    await client.send(start)

    answer = await client.until_closed()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"client_head_timeout" in answer


async def test_s16_a_head_that_drips_is_answered_with_408(make_proxy, make_client):
    """Each byte in time, the head not: the time counts from the first byte."""
    client = await make_client(await make_proxy(client_head_timeout=0.3))

    answer = await drip(client, b"GET http://a.test/ HTTP/1.1\r\nX: " + b"a" * 500)

    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_s16_a_second_head_is_timed_as_the_first(make_proxy, make_client, origin):
    """On a connection that has been served."""
    client = await make_client(await make_proxy(client_head_timeout=0.1))
    await client.get(f"{origin.url}/")
    await client.send(b"GET ")

    answer = await client.until_closed()

    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("sent", [b"", b"\r\n\r\n"])
async def test_s16_a_client_that_sends_no_head_is_closed(make_proxy, make_client, sent):
    """Nothing was asked, so nothing is answered; empty lines are nothing."""
    client = await make_client(await make_proxy(client_idle_timeout=0.2))
    await client.send(sent)

    answer = await client.until_closed()

    assert answer == b""


async def test_s16_the_oldest_idle_client_makes_room(make_proxy, make_client, origin):
    """Two places: the third client takes that of the one idle for longest."""
    proxy = await make_proxy(max_clients=2)
    first, second = await make_client(proxy), await make_client(proxy)
    for client in (first, second):
        await client.get(f"{origin.url}/")
        await asyncio.sleep(0.002)  # uvloop's clock counts milliseconds
    third = await make_client(proxy)

    response = await third.get(f"{origin.url}/")

    assert response.status == 200
    assert await first.until_closed() == b""
    assert (await second.get(f"{origin.url}/")).status == 200


async def test_s16_no_client_makes_room_while_it_is_served(
    make_proxy, make_client, origin
):
    """The one too many is told so, and when to come again."""
    proxy = await make_proxy(max_clients=2)
    busy = [await make_client(proxy) for _ in range(2)]
    for client in busy:
        await client.send(request_bytes(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == 2)
    third = await make_client(proxy)

    answer = await third.until_closed()

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in answer
    origin.release.set()
    assert [(await client.response()).body for client in busy] == [b"done"] * 2


async def test_s16_one_address_may_have_only_so_many_clients(make_proxy, origin):
    """The peer is this machine under an address that is not loopback."""
    host = own_address()
    proxy = await make_proxy(
        listen=f"{host}:0", allow_clients=f"{host}/32", max_clients_per_address=1
    )
    listener = proxy.listening[0]

    async with Client(listener) as first:
        await first.send(request_bytes(f"{origin.url}/wait"))
        await origin.until(lambda: len(origin.requests) == 1)
        async with Client(listener) as second:
            answer = await second.until_closed()
        origin.release.set()
        response = await first.response()
        async with Client(listener) as third:
            served = await third.get(f"{origin.url}/")

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"max_clients_per_address" in answer
    assert response.body == b"done"
    assert served.body == b"hello"


# S17: bodies...


async def test_s17_an_upload_that_stops_is_answered_with_408(
    make_proxy, make_client, make_origin
):
    """Its upstream connection is closed, the body never made to look complete."""
    bodies = []

    async def reads_on(connection):
        await connection.head()
        bodies.append(await connection.closed())

    origin = await make_origin(reads_on)
    client = await make_client(await make_proxy(client_body_timeout=0.1))
    await client.send(
        request_bytes(
            f"{origin.url}/", "Content-Length: 10", method="POST", body=b"abc"
        )
    )

    response = await client.response()

    assert response.status == 408
    assert b"client_body_timeout" in response.body
    await origin.until(lambda: bodies == [b"abc"])


async def test_s17_an_upload_that_drips_is_served(make_proxy, make_client, origin):
    """The limit is on the pause between bytes."""
    client = await make_client(await make_proxy(client_body_timeout=1))
    await client.send(
        request_bytes(f"{origin.url}/echo", "Content-Length: 20", method="POST")
    )
    for _ in range(20):
        await client.send(b"x")
        await origin.until(lambda: True)

    response = await client.response()

    assert response.body == b"x" * 20


async def test_s17_an_origin_that_stays_silent_is_answered_with_504(
    make_proxy, make_client, origin
):
    """No head came within response_timeout."""
    client = await make_client(await make_proxy(response_timeout=0.1))

    response = await client.get(f"{origin.url}/wait")

    assert response.status == 504
    assert b"response_timeout" in response.body
    await origin.until(origin.connections[0].reader.at_eof)


async def test_s17_an_origin_that_stops_midway_truncates(
    make_proxy, make_client, origin
):
    """The client is closed on before the announced length."""
    client = await make_client(await make_proxy(response_timeout=0.1))
    await client.send(request_bytes(f"{origin.url}/hold"))

    answer = await client.until_closed()

    assert b"\r\nContent-Length: 4\r\n" in answer
    assert answer.endswith(b"\r\n\r\nab")


# S18: header bombs...


async def answer_to(client, head):
    """Send a head as fast as it is taken, and read the answer to it."""
    answer = asyncio.get_running_loop().create_task(client.until_closed())
    for position in range(0, len(head), 4096):
        if client.writer.transport.is_closing():
            break
        client.writer.write(head[position : position + 4096])
        await asyncio.wait([answer], timeout=0)
    return await answer


def head_of(lines):
    """A request with these field lines."""
    return b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n%b\r\n" % b"".join(lines)


async def test_s18_too_many_fields_are_answered_with_431(client):
    """The limit is 256."""
    answer = await answer_to(client, head_of([b"a: b\r\n"] * 300))

    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_s18_a_field_too_long_is_answered_with_431(client):
    """Even when the rest of the head is small."""
    answer = await answer_to(client, head_of([b"a: %b\r\n" % (b"b" * 40_000)]))

    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_s18_a_head_too_long_in_all_is_answered_with_431(client):
    """Every field in bounds, and sent in small pieces without an end."""
    lines = [b"a: %b\r\n" % (b"b" * 10_000)] * 20

    answer = await answer_to(client, head_of(lines))

    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("length", [20_000, 1_000_000])
async def test_s18_a_target_too_long_is_answered_with_414(client, length):
    """Told apart from a field too long."""
    target = b"http://a.test/" + b"a" * length

    answer = await answer_to(
        client, b"GET %b HTTP/1.1\r\nHost: a.test\r\n\r\n" % target
    )

    assert answer.startswith(b"HTTP/1.1 414 ")


async def test_s18_a_megabyte_in_one_line_stays_bounded(proxy, client):
    """Nearly a megabyte is refused without being held."""
    answer = await answer_to(client, head_of([b"a: %b\r\n" % (b"b" * 1_000_000)]))

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert not proxy.session.pool.origins


@pytest.mark.parametrize("whole", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
async def test_s16_a_head_that_begins_at_once_is_timed_too(
    make_proxy, make_client, whole
):
    """In the first packet, alone or behind a whole request."""
    client = await make_client(await make_proxy(client_head_timeout=0.3))
    await client.send(whole, b"GET http://a.te")

    answer = await client.until_closed()

    assert b"HTTP/1.1 408 " in answer


async def test_s16_the_end_of_a_body_is_no_part_of_a_head(
    make_proxy, make_client, origin
):
    """It came in a packet of its own; the client is idle after that, and not slow."""
    proxy = await make_proxy(client_head_timeout=0.1)
    client = await make_client(proxy)
    size = 70_000
    await client.send(upload_head(origin, size))
    await origin.until(lambda: origin.accepted == 1)
    await client.send(b"u" * size)
    echoed = await client.response("POST")

    # Longer than the head may take, and than the sweeper's interval.
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.8):
            await client.reader.read(1)
    head = request_bytes(f"{origin.url}/")
    await client.send(head[:20])
    await asyncio.sleep(0)
    await client.send(head[20:])
    response = await client.response()

    assert len(echoed.body) == size
    assert (response.status, response.body) == (200, b"hello")


def upload_head(origin, size):
    """Spell the head of a POST that is echoed."""
    url, length = f"{origin.url}/echo", f"Content-Length: {size}"
    return request_bytes(url, length, method="POST")


async def test_s16_many_clients_may_connect_at_once(make_proxy):
    """Before the loop has come to accept one; the kernel would drop what is too much.

    And a SYN that was dropped is sent again only after a second.
    """
    address = (await make_proxy()).listening[0]

    # Nothing is awaited in here, so nothing is accepted.
    clients = [
        socket.create_connection((address.host, address.port), timeout=0.9)
        for _ in range(300)
    ]

    for client in clients:
        client.close()


async def test_s17_what_we_answer_ourselves_is_bounded_too(proxy, make_client):
    """Pipelined requests for the proxy, by a client that reads none of the answers."""
    client = await make_client(proxy)
    client.writer.write(request_bytes("/") * 200_000)
    async with asyncio.timeout(20):
        while proxy.stall_watch.spooled < 900_000:
            await asyncio.sleep(0.01)
    highest = 0
    for _ in range(50):
        highest = max(highest, proxy.stall_watch.spooled)
        await asyncio.sleep(0.01)

    assert highest < 1_200_000
    client.reset()


async def test_s21_a_client_that_leaves_the_queue_during_its_upload_is_noticed(
    make_proxy, make_client, origin
):
    """Nothing is read from it, as nobody takes the body; the kernel knows."""
    proxy = await make_proxy(max_per_origin=1)
    busy, leaver = await make_client(proxy), await make_client(proxy)
    await busy.send(request_bytes(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == 1)
    leaver.writer.write(upload_head(origin, 10_000_000) + bytes(9_000_000))
    (pool,) = proxy.session.pool.origins.values()
    await origin.until(lambda: len(pool.waiters) == 1)
    await origin.until(lambda: leaver.writer.transport.get_write_buffer_size() > 0)
    leaver.reset()

    await origin.until(lambda: not pool.waiters)
    origin.release.set()

    assert (await busy.response()).body == b"done"


async def test_s17_a_chunked_body_over_the_limit_is_refused_in_one_packet_too(
    make_proxy, make_client, origin
):
    """Its size is known without an announcement."""
    client = await make_client(await make_proxy(max_request_body=10))
    coding = "Transfer-Encoding: chunked"
    body = b"b\r\nhello world\r\n0\r\n\r\n"
    await client.send(
        request_bytes(f"{origin.url}/echo", coding, method="POST", body=body)
    )

    response = await client.response("POST")

    assert response.status == 413
    assert b"max_request_body" in response.body
    assert origin.requests == []
