"""Requirements S23 to S25: coded bodies, pipelines, and what is logged."""

import asyncio
import gzip
import logging

import pytest

from tests.support.client import request_bytes

# S23: coded bodies...


async def test_s23_a_compressed_response_is_not_looked_into(proxy, make_origin, client):
    """Ten megabytes of zeros arrive as the ten kilobytes that were sent."""
    bomb = gzip.compress(b"\0" * 10_000_000)

    async def coded(connection):
        await connection.request()
        await connection.reply(bomb, b"Content-Encoding: gzip")

    origin = await make_origin(coded)

    response = await client.get(f"{origin.url}/")

    assert response.body == bomb
    assert response.value("Content-Encoding") == "gzip"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
async def test_s23_a_compressed_upload_is_not_looked_into(origin, client, coding):
    """What arrives is byte for byte what was sent; br is not even br."""
    body = gzip.compress(b"\0" * 100_000)
    fields = (f"Content-Encoding: {coding}", f"Content-Length: {len(body)}")
    await client.send(
        request_bytes(f"{origin.url}/echo", *fields, method="POST", body=body)
    )

    response = await client.response()

    assert response.body == body


# S24: pipelining...


async def test_s24_a_pipeline_is_read_no_faster_than_it_is_served(
    make_proxy, origin, make_client
):
    """A hundred thousand requests at once wait in the client, not in the proxy."""
    proxy = await make_proxy(spool_per_response="64KiB")
    client = await make_client(proxy)
    pipeline = request_bytes(f"{origin.url}/wait") * 100_000
    client.writer.write(pipeline)
    await origin.until(lambda: len(origin.requests) == 1)
    unsent = client.writer.transport.get_write_buffer_size

    before = unsent()
    await origin.until(lambda: True)

    assert unsent() == before > len(pipeline) - 8_000_000
    assert len(origin.requests) == 1
    client.reset()
    origin.release.set()


async def test_s24_responses_that_are_not_read_stop_the_pipeline(
    make_proxy, origin, make_client
):
    """The origin is not asked for what could only be held; all comes in the end."""
    proxy = await make_proxy(spool_per_response="64KiB")
    client = await make_client(proxy)
    await client.send(request_bytes(f"{origin.url}/bytes/100000") * 300)
    asked = 0
    while asked != len(origin.requests):
        asked = len(origin.requests)
        await asyncio.sleep(0.1)

    assert asked < 150
    assert proxy.stall_watch.spooled < 1_000_000
    for _ in range(300):
        assert len((await client.response()).body) == 100_000


# S25: logs...


async def test_s25_malformed_requests_do_not_flood_the_log(proxy, make_client, caplog):
    """Fifty of them make one line, or two if a second goes by."""
    caplog.set_level(logging.DEBUG)
    for _ in range(50):
        client = await make_client(proxy)
        await client.send(b"NO SUCH THING\r\n\r\n")
        await client.until_closed()

    assert 1 <= len(caplog.records) <= 4


async def test_s25_a_log_line_cannot_be_forged(proxy, make_client, caplog):
    """Neither line ends nor terminal control codes get through."""
    caplog.set_level(logging.DEBUG)
    attack = b"\x1b[31mred\x1b[0m\rINFO all is well\x07"
    for head in (
        b"GET http://a.test/%b HTTP/1.1\r\nHost: a.test\r\n\r\n" % attack,
        b"GET http://a.test/ HTTP/1.1\r\nHost: %b\r\n\r\n" % attack,
        b"%b http://a.test/ HTTP/1.1\r\n\r\n" % attack,
        b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n%b: x\r\n\r\n" % attack,
        b"GET http://%%1b%b/ HTTP/1.1\r\nHost: a.test\r\n\r\n" % attack,
    ):
        proxy.server.log_limited._limiter._kinds.clear()
        client = await make_client(proxy)
        await client.send(head)
        await client.until_closed()

    assert len(caplog.records) >= 4
    for record in caplog.records:
        assert record.getMessage().isprintable()
