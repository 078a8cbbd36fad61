"""What is sent again and what never is: rows A84 and A85 of the requirements."""

import pytest

from tests.support.client import request_bytes
from tests.support.own_errors import assert_own_error


@pytest.fixture
async def goes_stale(make_origin):
    """Make an origin whose first connection dies at its second request.

    It passes every check before the request is sent, as a real race does.
    """

    async def make(*, also=0, answer=b"", how="close"):
        async def script(connection):
            if connection.number <= 1 + also:
                if connection.number == 1:
                    await connection.request()
                    await connection.reply(b"first")
                await connection.request()
                await connection.send(answer)
                if how == "reset":
                    connection.reset()
                return
            while True:
                request = await connection.request()
                await connection.reply(b"again " + request.body[:10])

        return await make_origin(script)

    return make


async def warmed(client, origin):
    """Leave an idle connection behind."""
    assert (await client.get(f"{origin.url}/")).body == b"first"


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("method", ["POST", "PATCH", "M-SEARCH", "MKCOL", "LOCK"])
async def test_a84_an_unsafe_request_on_a_stale_connection_is_not_sent_again(
    client, goes_stale, method, how
):
    """The origin may have acted on it; the client is told instead."""
    origin = await goes_stale(how=how)
    await warmed(client, origin)
    await client.send(
        request_bytes(
            f"{origin.url}/", "Content-Length: 4", method=method, body=b"body"
        )
    )
    response = await client.response(method)

    assert_own_error(response, 502, "connection_terminated")
    assert len(origin.requests) == 2
    assert origin.accepted == 1


async def test_a84_an_idempotency_key_allows_a_second_try(client, goes_stale):
    """The client promises that the origin can tell."""
    origin = await goes_stale()
    await warmed(client, origin)
    fields = ("Content-Length: 4", "Idempotency-Key: 1")
    await client.send(
        request_bytes(f"{origin.url}/", *fields, method="POST", body=b"body")
    )

    assert (await client.response("POST")).body == b"again body"
    assert [request.body for request in origin.requests] == [b"", b"body", b"body"]


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE", "PUT", "TRACE"])
async def test_a85_an_idempotent_request_on_a_stale_connection_is_sent_once_more(
    client, goes_stale, method, how
):
    """On a new connection; the client notices nothing."""
    origin = await goes_stale(how=how)
    await warmed(client, origin)
    response = await client.get(f"{origin.url}/", method=method)

    assert response.status == 200
    assert [request.method for request in origin.requests[1:]] == [method.encode()] * 2
    assert origin.requests[1].head == origin.requests[2].head


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a85_a_small_body_is_sent_again_with_its_request(
    client, goes_stale, framing
):
    """It is still held in full."""
    origin = await goes_stale()
    await warmed(client, origin)
    fields, body = ["Content-Length: 4"], b"body"
    if framing == "chunked":
        fields, body = ["Transfer-Encoding: chunked"], b"4\r\nbody\r\n0\r\n\r\n"
    await client.send(request_bytes(f"{origin.url}/", *fields, method="PUT", body=body))

    assert (await client.response("PUT")).body == b"again body"
    assert [request.body for request in origin.requests] == [b"", b"body", b"body"]


async def test_a85_a_body_sent_after_100_continue_is_sent_again(client, goes_stale):
    """The second try does not wait for a 100 that nobody passes on."""
    origin = await goes_stale()
    await warmed(client, origin)
    fields = ("Content-Length: 4", "Expect: 100-continue")
    await client.send(
        request_bytes(f"{origin.url}/", *fields, method="PUT", body=b"body")
    )

    assert (await client.response("PUT")).body == b"again body"


async def test_a85_a_large_body_is_not_sent_again(client, goes_stale):
    """It is no longer held, so the request cannot be repeated."""
    origin = await goes_stale()
    await warmed(client, origin)
    body = b"x" * 100_000
    length = f"Content-Length: {len(body)}"
    await client.send(request_bytes(f"{origin.url}/", length, method="PUT", body=body))

    assert_own_error(await client.response("PUT"), 502, "connection_terminated")
    assert origin.accepted == 1


async def test_a85_there_is_no_second_retry(client, goes_stale):
    """The new connection dies the same way, and that is the end of it."""
    origin = await goes_stale(also=3)
    await warmed(client, origin)
    response = await client.get(f"{origin.url}/")

    assert_own_error(response, 502, "connection_terminated")
    assert len(origin.requests) == 3
    assert origin.accepted == 2


async def test_a85_a_request_on_a_new_connection_is_not_sent_again(client, make_origin):
    """There it is not a race but the origin's answer."""

    async def script(connection):
        await connection.request()

    origin = await make_origin(script)
    response = await client.get(f"{origin.url}/")

    assert_own_error(response, 502, "connection_terminated")
    assert origin.accepted == 1


@pytest.mark.parametrize("answer", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a85_once_a_byte_has_come_back_nothing_is_sent_again(
    client, goes_stale, answer
):
    """The origin has begun to act."""
    origin = await goes_stale(answer=answer)
    await warmed(client, origin)
    response = await client.get(f"{origin.url}/")

    assert_own_error(response, 502, "http_response_incomplete")
    assert len(origin.requests) == 2
    assert origin.accepted == 1
