"""Early answers and half-closed clients: rows A76 and A77."""

import asyncio

import pytest

from tests.support.client import request_bytes


@pytest.mark.parametrize("status", [200, 413, 500])
async def test_a76_an_early_answer_is_relayed_at_once_and_the_upload_ends(
    client, make_origin, status
):
    """Half of the body is sent when the final response comes."""

    async def script(connection):
        await connection.head()
        await connection.reader.readexactly(4)
        await connection.reply(b"early", b"Connection: close", status=status)
        await connection.closed()

    origin = await make_origin(script)
    raw = request_bytes(
        f"{origin.url}/", "Content-Length: 9", method="POST", body=b"part"
    )
    await client.send(raw)
    response = await client.response("POST")
    await client.send(b"-rest")
    await origin.until(lambda: origin.open == 0)

    assert (response.status, response.body) == (status, b"early")
    assert response.value("Connection") == "close"
    assert await client.rest() == b""


async def test_a76_a_large_upload_does_not_lose_its_early_answer(client, make_origin):
    """We linger: a close amid unread bytes would reset the answer away."""

    async def script(connection):
        await connection.head()
        await connection.reply(b"early", status=413)
        await connection.closed()

    origin = await make_origin(script)
    size = 4 * 2**20
    length = f"Content-Length: {size}"
    async with asyncio.TaskGroup() as tasks:
        raw = request_bytes(f"{origin.url}/", length, method="POST", body=b"x" * size)
        sending = tasks.create_task(client.send(raw))
        response = await client.response("POST")
        await sending

    assert (response.status, response.body) == (413, b"early")


async def test_a76_an_early_answer_with_a_reset_behind_it_is_relayed(
    client, make_origin
):
    """Our next write fails, but what had come before it is read first."""

    async def script(connection):
        await connection.head()
        await connection.reader.readexactly(4)
        await connection.reply(b"early", b"Connection: close", status=413)
        connection.reset()

    origin = await make_origin(script)
    raw = request_bytes(
        f"{origin.url}/", "Content-Length: 4000000", method="POST", body=b"part"
    )
    await client.send(raw)
    await origin.until(lambda: origin.accepted == 1 and origin.open == 0)
    client.writer.write(bytes(3_999_996))

    response = await client.response("POST")

    assert (response.status, response.body) == (413, b"early")


async def test_a47_an_origin_that_ignores_expect_and_answers_gets_the_whole_body(
    client, make_origin
):
    """The body is on its way after a second without 100 (Continue)."""
    size = 400_000
    rest = size - 10_000

    async def script(connection):
        await connection.head()
        await connection.reader.readexactly(10_000)
        await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await connection.send(b"1\r\na\r\n")
        await connection.reader.readexactly(rest)
        await connection.send(b"1\r\nb\r\n0\r\n\r\n")

    origin = await make_origin(script)
    fields = (f"Content-Length: {size}", "Expect: 100-continue")
    await client.send(
        request_bytes(f"{origin.url}/", *fields, method="POST", body=bytes(10_000))
    )
    await client.reader.readuntil(b"1\r\na\r\n")
    await client.send(bytes(rest))

    assert (await client.until_closed()).startswith(b"1\r\nb\r\n0\r\n\r\n")


async def test_a77_a_half_closed_client_is_served_while_its_response_moves(
    client, origin
):
    """`shutdown(SHUT_WR)` after the request is not a good-bye."""
    await client.send(request_bytes(f"{origin.url}/hold"))
    await client.reader.readuntil(b"\r\n\r\nab")
    client.shut_writing()
    origin.release.set()

    async with asyncio.timeout(10):
        assert await client.reader.read() == b"cd"


async def test_a77_requests_sent_before_the_half_close_are_all_served(client, origin):
    """`printf | nc -N` with a pipeline; then the proxy closes too, without a reset."""
    paths = ("hold", "bytes/3", "bytes/2")
    await client.send(*(request_bytes(f"{origin.url}/{path}") for path in paths))
    await client.reader.readuntil(b"\r\n\r\nab")
    client.shut_writing()
    await asyncio.sleep(0.05)
    origin.release.set()
    async with asyncio.timeout(10):
        received = await client.reader.read()

    assert received.startswith(b"cdHTTP/1.1 200 ")
    assert received.endswith(b"\r\n\r\nxx")


async def test_a77_a_half_closed_client_whose_response_stands_still_is_dropped(
    make_proxy, make_client, make_origin
):
    """It looks like a client that is gone, and may not hold a connection for ever."""

    async def script(connection):
        await connection.request()
        await connection.closed()

    origin = await make_origin(script)
    client = await make_client(await make_proxy(drain_timeout=0.2))
    await client.send(request_bytes(f"{origin.url}/"))
    await origin.until(lambda: len(origin.requests) == 1)
    client.shut_writing()

    assert await client.until_closed() == b""
    await origin.until(lambda: origin.open == 0)


async def test_a77_a_half_closed_client_in_the_queue_is_dropped(
    make_proxy, make_client, origin
):
    """What has not been sent upstream is not sent for somebody who may be gone."""
    service = await make_proxy(max_per_origin=1)
    first, second = await make_client(service), await make_client(service)
    await first.send(request_bytes(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == 1)
    await second.send(request_bytes(f"{origin.url}/queued"))
    second.shut_writing()

    assert await second.until_closed() == b""
    origin.release.set()
    assert (await first.response()).body == b"done"
    assert [request.target for request in origin.requests] == [b"/wait"]


@pytest.fixture
async def crowd(proxy, make_client, origin):
    """So many exchanges under way that writes wait for the end of a turn."""
    clients = [await make_client(proxy) for _ in range(5)]
    for client in clients:
        await client.send(request_bytes(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == len(clients))
    assert proxy.session.outbox.crowded
    yield clients
    origin.release.set()
    for client in clients:
        assert (await client.response()).body == b"done"


@pytest.mark.usefixtures("crowd")
async def test_in_a_crowd_an_error_comes_behind_the_response_before_it(client, origin):
    """Both are written in one turn of the loop, or nearly."""
    await client.get(f"{origin.url}/")
    await client.send(request_bytes(f"{origin.url}/"), b"\x00no request\r\n\r\n")
    answers = [await client.response() for _ in range(2)]

    assert [answer.status for answer in answers] == [200, 400]


@pytest.mark.usefixtures("crowd")
async def test_in_a_crowd_a_response_is_not_lost_to_a_fin_of_the_same_turn(
    proxy, client, origin
):
    """It waits to be written when the client closes its sending side."""
    await client.get(f"{origin.url}/")
    ours = next(each for each in proxy.server.clients if each.request is None)
    await client.send(request_bytes(f"{origin.url}/"))
    while ours._unsent is None:
        await asyncio.sleep(0)
    # What the loop calls for a FIN that it reads behind the origin's bytes.
    if not ours.eof_received():
        ours.transport.close()

    assert (await client.response()).status == 200


async def test_an_exchange_is_finished_and_then_closed_if_its_server_is(
    proxy, client, origin
):
    """As aiohttp's runner asks for it: softly."""
    await client.send(request_bytes(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == 1)
    proxy.server.pre_shutdown()
    origin.release.set()
    response = await client.response()

    assert (response.status, response.body) == (200, b"done")
    assert response.value("Connection") == "close"
    assert await client.rest() == b""
