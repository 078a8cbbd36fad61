"""The promise: a small set of upstream connections, whatever clients do."""

from tests.support.client import request_bytes


async def test_a_client_connection_per_request_costs_one_upstream_connection(
    proxy, origin, make_client
):
    """Fifty clients with one request each share one connection."""
    for _ in range(50):
        client = await make_client(proxy)
        response = await client.get(f"{origin.url}/bytes/10")
        await client.close()

        assert response.body == b"x" * 10
    assert origin.accepted == 1


async def test_pipelined_requests_are_answered_in_order(proxy, origin, client):
    """Three at once, each with a body of its own size."""
    await client.send(
        *(request_bytes(f"{origin.url}/bytes/{size}") for size in (3, 2, 1))
    )

    bodies = [(await client.response()).body for _ in range(3)]

    assert bodies == [b"xxx", b"xx", b"x"]


async def test_an_aborted_download_is_drained_and_its_connection_reused(
    proxy, origin, make_client
):
    """The client leaves at the first byte of a megabyte."""
    for _ in range(5):
        client = await make_client(proxy)
        await client.send(request_bytes(f"{origin.url}/bytes/1000000"))
        await client.reader.read(1)
        client.reset()

    last = await make_client(proxy)
    response = await last.get(f"{origin.url}/")

    assert response.body == b"hello"
    assert origin.accepted <= 3
