"""Design D5 and D6 through a real proxy: what is reused, and what is repeated."""

import asyncio

import pytest

from tests.support.client import request_bytes


def targets(origin):
    """List what the origin was asked for."""
    return [request.target for request in origin.requests]


def failing_from(second, *, from_connection=2):
    """Make a script whose first connections answer once, then do `second`."""

    async def script(connection):
        await connection.request()
        await connection.reply(b"fine")
        while True:
            await connection.request()
            if connection.number < from_connection:
                await second(connection)
                return
            await connection.reply(b"fine")

    return script


async def close(connection):
    """Close without an answer, as an origin whose idle timer has fired."""
    connection.writer.close()


async def reset(connection):
    """Reset without an answer."""
    connection.reset()


async def say_a_little(connection):
    """Close in the middle of the status line."""
    await connection.send(b"HTTP/1.1 2")
    connection.writer.close()


# Reuse (D5)...


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b"x",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON",
        b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
    ],
)
async def test_what_an_origin_says_on_an_idle_connection_reaches_nobody(
    rest, make_origin, proxy, make_client
):
    """A FIN, bytes, or a whole response: the next request has its own connection."""

    async def script(connection):
        await connection.request()
        await connection.reply(b"first" if connection.number == 1 else b"second")
        if connection.number == 1:
            await connection.origin.release.wait()
            await connection.send(rest)
            if rest:
                await connection.closed()
        else:
            await connection.closed()

    origin = await make_origin(script)
    client, other = await make_client(proxy), await make_client(proxy)
    assert (await client.get(f"{origin.url}/a")).body == b"first"
    origin.release.set()
    await origin.until(lambda: origin.open == 0)

    response = await other.get(f"{origin.url}/b", method="POST")

    assert (response.status, response.body) == (200, b"second")
    assert origin.accepted == 2


async def test_a_response_sent_twice_is_seen_once(make_origin, proxy, client):
    """The second copy comes with the first, while the connection is leased."""

    async def script(connection):
        while True:
            await connection.request()
            one = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
            number = b"%03d" % connection.number
            await connection.send(one, number, one, b"BAD")

    origin = await make_origin(script)

    answers = [(await client.get(f"{origin.url}/")).body for _ in range(3)]

    assert answers == [b"001", b"002", b"003"]


async def test_an_origin_that_accepts_and_resets_is_a_502(make_origin, proxy, client):
    """Not retried without end, and the books stay balanced."""

    async def script(connection):
        connection.reset()

    origin = await make_origin(script)

    answers = [await client.get(f"{origin.url}/") for _ in range(10)]

    assert {answer.status for answer in answers} == {502}
    assert origin.accepted == 10


# Unsafe methods and retries (D6)...


async def test_a_post_does_not_use_a_connection_that_was_idle_for_long(
    make_proxy, origin, make_client
):
    """A GET does, and so does a POST that comes at once."""
    proxy = await make_proxy(unsafe_reuse_max_idle="0.2s")
    client = await make_client(proxy)

    await client.get(f"{origin.url}/")
    await client.get(f"{origin.url}/", method="POST")
    assert origin.accepted == 1
    await asyncio.sleep(0.21)
    await client.get(f"{origin.url}/", method="POST")
    assert origin.accepted == 2
    await asyncio.sleep(0.21)
    await client.get(f"{origin.url}/")

    assert origin.accepted == 2
    assert proxy.session.stats.misses["unsafe_method"] == 1


async def test_a_post_with_an_idempotency_key_may_use_any(
    make_proxy, origin, make_client
):
    """It could be sent again."""
    proxy = await make_proxy(unsafe_reuse_max_idle="0s")
    client = await make_client(proxy)

    await client.get(f"{origin.url}/")
    await client.get(f"{origin.url}/", "Idempotency-Key: k", method="POST")

    assert origin.accepted == 1


@pytest.mark.parametrize("failure", [close, reset])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
async def test_an_idempotent_request_on_a_stale_connection_is_sent_once_more(
    method, failure, make_origin, proxy, client
):
    """The origin's close crossed it on the way; the client notices nothing."""
    origin = await make_origin(failing_from(failure))
    await client.get(f"{origin.url}/1")

    response = await client.get(f"{origin.url}/2", method=method)

    assert response.status == 200
    assert targets(origin) == [b"/1", b"/2", b"/2"]
    assert origin.accepted == 2
    assert +proxy.session.stats.retries == {"ok": 1}


@pytest.mark.parametrize("failure", [close, reset])
@pytest.mark.parametrize("method", ["POST", "PATCH", "LOCK"])
async def test_an_unsafe_request_is_never_sent_again(
    method, failure, make_origin, proxy, client
):
    """The origin may have acted on it."""
    origin = await make_origin(failing_from(failure))
    await client.get(f"{origin.url}/1")

    response = await client.get(f"{origin.url}/2", method=method)

    assert response.status == 502
    assert targets(origin) == [b"/1", b"/2"]
    assert not proxy.session.stats.retries.total()


async def test_an_idempotency_key_makes_a_post_repeatable_with_its_body(
    make_origin, proxy, client
):
    """The body is still held, and goes out whole."""
    origin = await make_origin(failing_from(close))
    await client.get(f"{origin.url}/1")

    fields = ("Idempotency-Key: k", "Content-Length: 4")
    url = f"{origin.url}/2"
    await client.send(request_bytes(url, *fields, method="POST", body=b"body"))
    response = await client.response("POST")

    assert response.status == 200
    assert [request.body for request in origin.requests] == [b"", b"body", b"body"]


async def test_a_body_too_large_to_hold_is_not_sent_again(make_origin, proxy, client):
    """64 KiB are held at most."""
    origin = await make_origin(failing_from(close))
    await client.get(f"{origin.url}/1")

    body = bytes(65 * 1024)
    field = f"Content-Length: {len(body)}"
    url = f"{origin.url}/2"
    await client.send(request_bytes(url, field, method="PUT", body=body))
    response = await client.response("PUT")

    assert response.status == 502
    assert targets(origin) == [b"/1", b"/2"]


async def test_a_request_is_sent_at_most_twice(make_origin, proxy, client):
    """The second failure is the client's to know."""

    async def script(connection):
        if connection.number > 1:
            await connection.request()
        else:
            await failing_from(close)(connection)

    origin = await make_origin(script)
    await client.get(f"{origin.url}/1")

    response = await client.get(f"{origin.url}/2")

    assert response.status == 502
    assert targets(origin) == [b"/1", b"/2", b"/2"]
    assert +proxy.session.stats.retries == {"failed": 1}


async def test_a_request_is_not_tried_on_every_stale_connection(
    make_origin, make_proxy, make_client
):
    """Two are enough, whether the second is fresh or not."""

    async def script(connection):
        await connection.request()
        await connection.origin.release.wait()
        await connection.reply(b"fine")
        await connection.request()

    origin = await make_origin(script)
    proxy = await make_proxy(dial_patience="0s")
    clients = [await make_client(proxy) for _ in range(3)]
    first = asyncio.gather(*(client.get(f"{origin.url}/1") for client in clients))
    await origin.until(lambda: len(origin.requests) == 3)
    origin.release.set()
    await first

    response = await clients[0].get(f"{origin.url}/2")

    assert response.status == 502
    assert targets(origin).count(b"/2") == 2
    assert (origin.accepted, +proxy.session.stats.retries) == (3, {"failed": 1})


async def test_a_request_on_a_fresh_connection_is_not_sent_again(
    make_origin, proxy, client
):
    """The origin does not close those by chance."""

    async def script(connection):
        await connection.request()

    origin = await make_origin(script)

    response = await client.get(f"{origin.url}/")

    assert response.status == 502
    assert targets(origin) == [b"/"]


async def test_a_request_is_not_sent_again_once_an_answer_has_begun(
    make_origin, proxy, client
):
    """One byte is enough to know that the origin had it."""
    origin = await make_origin(failing_from(say_a_little))
    await client.get(f"{origin.url}/1")

    response = await client.get(f"{origin.url}/2")

    assert response.status == 502
    assert targets(origin) == [b"/1", b"/2"]
