"""Requirements S32 and S33: when a connection is not reused."""

import asyncio

import pytest

from tests.support.scrape import samples, scrape

# S32: unsafe methods...


@pytest.mark.parametrize(
    ("method", "accepted"),
    [("POST", 2), ("PATCH", 2), ("LOCK", 2), ("PUT", 1), ("DELETE", 1), ("GET", 1)],
)
async def test_s32_unsafe_methods_use_fresh_connections_only(
    make_proxy, origin, make_client, method, accepted
):
    """With unsafe_reuse_max_idle at zero, one that was idle at all is not fresh."""
    client = await make_client(await make_proxy(unsafe_reuse_max_idle=0))
    await client.get(f"{origin.url}/")
    await asyncio.sleep(0.002)  # uvloop's clock counts milliseconds

    response = await client.get(f"{origin.url}/", "Content-Length: 0", method=method)

    assert response.status == 200
    assert origin.accepted == accepted


async def test_s32_a_post_is_never_sent_twice(proxy, make_origin, make_client):
    """Its reused connection fails after the request; nobody can know how far it got."""

    async def fails_second(connection):
        await connection.request()
        await connection.reply(b"first")
        await connection.request()
        connection.reset()

    origin = await make_origin(fails_second)
    client = await make_client(proxy)
    await client.get(f"{origin.url}/")

    response = await client.get(f"{origin.url}/", "Content-Length: 0", method="POST")

    assert response.status == 502
    assert len(origin.requests) == 2


async def test_s32_a_connection_that_was_closed_is_not_given_to_a_post(
    proxy, make_origin, make_client
):
    """The origin's FIN is seen before the request is sent."""

    async def closes(connection):
        await connection.request()
        await connection.reply(b"once")

    origin = await make_origin(closes)
    client = await make_client(proxy)

    for _ in range(5):
        response = await client.get(
            f"{origin.url}/", "Content-Length: 0", method="POST"
        )
        assert response.body == b"once"
    assert len(origin.requests) == 5


# S33: how long connections are kept...


async def test_s33_an_announced_timeout_is_undercut_by_a_second(
    proxy, make_origin, make_client
):
    """Keep-Alive: timeout=1 leaves nothing, so the connection is not kept."""

    async def brief(connection):
        while True:
            await connection.request()
            await connection.reply(b"", b"Keep-Alive: timeout=1")

    origin = await make_origin(brief)
    client = await make_client(proxy)
    for _ in range(2):
        await client.get(f"{origin.url}/")

    assert origin.accepted == 2


@pytest.mark.parametrize("setting", ["idle_timeout", "max_lifetime"])
async def test_s33_idle_and_old_connections_are_closed_by_us(
    make_proxy, origin, make_client, setting
):
    """The origin sees the close within a sweep, without a request."""
    proxy = await make_proxy(**{setting: 0.2})
    await (await make_client(proxy)).get(f"{origin.url}/")

    await origin.until(lambda: origin.open == 0)

    closed = samples(
        await scrape(proxy.admin_address), "upstream_connections_closed_total"
    )
    reason = "expired_idle" if setting == "idle_timeout" else "expired_age"
    assert closed == {(origin.url, reason): 1}
