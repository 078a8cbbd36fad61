"""S30: a connection that a client has authenticated serves nobody else."""

import asyncio

import pytest

from reuse_proxy.upstream.books import CloseReason
from tests.support.books import settled


async def authenticating(connection):
    """Like NTLM: 401 first, then whoever speaks on this connection is known."""
    user = b"nobody"
    while True:
        request = await connection.request()
        credentials = request.values(b"authorization")
        if credentials:
            user = credentials[0]
        if user == b"nobody" and request.target != b"/open":
            await connection.reply(
                b"", b"WWW-Authenticate: Negotiate, NTLM, Basic", status=401
            )
        elif request.target == b"/hold":
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
            await connection.closed()
        else:
            await connection.reply(user)


@pytest.fixture
async def origin(make_origin):
    """An origin that authenticates connections."""
    return await make_origin(authenticating)


@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate", "nego2", "KERBEROS"])
async def test_what_one_client_has_proved_serves_no_other(
    proxy, make_client, origin, scheme
):
    """The first one's requests stay on its connection; the other gets a new one."""
    alice, bob = await make_client(proxy), await make_client(proxy)
    refused = await alice.get(f"{origin.url}/")
    known = await alice.get(f"{origin.url}/", f"Authorization: {scheme} alice")
    again = await alice.get(f"{origin.url}/")
    other = await bob.get(f"{origin.url}/")

    assert refused.status == 401
    assert known.body == again.body == f"{scheme} alice".encode()
    assert other.status == 401
    assert origin.accepted == 2


async def test_credentials_alone_make_a_connection_private(proxy, make_client, origin):
    """Without a 401 before: some clients begin with them."""
    alice, bob = await make_client(proxy), await make_client(proxy)
    first = await alice.get(f"{origin.url}/", "Authorization: Negotiate alice")
    other = await bob.get(f"{origin.url}/open")

    assert first.body == b"Negotiate alice"
    assert other.body == b"nobody"
    assert origin.accepted == 2


@pytest.mark.parametrize(
    "lines",
    [
        ("Authorization: NTLM alice", "Authorization: Basic bob"),
        ("Authorization: Basic bob", "Authorization: NTLM alice"),
        ("Authorization: NTLM\talice",),
        ("Authorization:  ntlm",),
    ],
    ids=["first", "last", "tab", "bare"],
)
async def test_however_they_are_spelled(proxy, make_client, origin, lines):
    """In any of several lines, before any blank."""
    alice, bob = await make_client(proxy), await make_client(proxy)
    await alice.get(f"{origin.url}/", *lines)
    other = await bob.get(f"{origin.url}/open")

    assert other.body == b"nobody"
    assert origin.accepted == 2


async def test_a_challenge_alone_makes_a_connection_private(proxy, make_client, origin):
    """Whoever was told to prove itself may do so on that connection next."""
    alice, bob = await make_client(proxy), await make_client(proxy)
    assert (await alice.get(f"{origin.url}/")).status == 401
    assert proxy.session.states()[origin.url, "private"] == 1
    await bob.get(f"{origin.url}/open")

    assert origin.accepted == 2


async def test_a_private_connection_ends_when_its_client_asks_for_a_tunnel(
    make_proxy, make_client, origin, make_origin
):
    """No request can follow on it; the tunnel may live for hours."""
    other = await make_origin()
    proxy = await make_proxy(connect_ports=other.port)
    alice = await make_client(proxy)
    await alice.get(f"{origin.url}/", "Authorization: NTLM alice")
    assert await alice.connect(other.authority) == 200
    async with asyncio.timeout(5):
        await origin.until(lambda: origin.open == 0)

    assert len(proxy.tunnels.open) == 1


@pytest.mark.parametrize("cap", ["max_per_origin", "max_sockets"])
async def test_resting_private_connections_give_way_to_who_waits(
    make_proxy, make_client, origin, cap
):
    """Clients that authenticated and do nothing must not shut others out."""
    proxy = await make_proxy(**{cap: 2})
    owners = [await make_client(proxy) for _ in range(2)]
    for owner in owners:
        await owner.get(f"{origin.url}/", "Authorization: NTLM alice")
    bob = await make_client(proxy)
    response = await bob.get(f"{origin.url}/open")

    assert response.body == b"nobody"
    assert origin.accepted == 3


async def test_other_schemes_do_not(proxy, make_client, origin):
    """Basic and Bearer authenticate each request: connections stay shared."""
    for user in ("Basic alice", "Bearer bob"):
        client = await make_client(proxy)
        response = await client.get(f"{origin.url}/", f"Authorization: {user}")

        assert response.body == user.encode()
    assert origin.accepted == 1


async def test_a_private_connection_counts_and_is_closed_with_its_client(
    make_proxy, make_client, origin
):
    """Against both caps while it lives; its place is free afterwards."""
    proxy = await make_proxy(max_per_origin=1, queue_timeout="300ms")
    alice, bob = await make_client(proxy), await make_client(proxy)
    await alice.get(f"{origin.url}/", "Authorization: NTLM alice")

    assert proxy.session.states()[origin.url, "private"] == 1
    assert (await bob.get(f"{origin.url}/open")).status == 503
    await alice.close()
    assert (await bob.get(f"{origin.url}/open")).status == 200
    closed = proxy.session.stats.origins[origin.url].closed
    assert closed[CloseReason.CLIENT_LEFT] == 1


@pytest.mark.parametrize("leave", ["reset", "close"])
async def test_a_client_that_leaves_amid_a_response_takes_it_along(
    proxy, make_client, origin, leave
):
    """It is discarded, not drained and given to others."""
    alice = await make_client(proxy)
    await alice.get(f"{origin.url}/", "Authorization: NTLM alice")
    await alice.send(f"GET {origin.url}/hold HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await alice.reader.readuntil(b"ab")
    await alice.close() if leave == "close" else alice.reset()
    await settled(proxy)
    async with asyncio.timeout(5):
        while proxy.session.pool.sockets:
            await asyncio.sleep(0.01)
    bob = await make_client(proxy)

    assert (await bob.get(f"{origin.url}/open")).body == b"nobody"
    assert +proxy.session.stats.drains == {}


async def test_an_origin_that_closes_a_private_connection_is_asked_anew(
    make_proxy, make_client, make_origin
):
    """Its client is nobody again, as it would be without a proxy."""

    async def script(connection):
        request = await connection.request()
        user = (request.values(b"authorization") or [b"nobody"])[0]
        await connection.reply(user)

    origin = await make_origin(script)
    proxy = await make_proxy()
    alice = await make_client(proxy)
    first = await alice.get(f"{origin.url}/", "Authorization: NTLM alice")
    async with asyncio.timeout(5):
        while proxy.session.pool.sockets:
            await asyncio.sleep(0.01)
    second = await alice.get(f"{origin.url}/")

    assert (first.body, second.body) == (b"NTLM alice", b"nobody")
    assert origin.accepted == 2


async def test_an_idle_private_connection_expires(make_proxy, make_client, origin):
    """Like any idle one, after idle_timeout."""
    proxy = await make_proxy(idle_timeout="300ms")
    alice = await make_client(proxy)
    await alice.get(f"{origin.url}/", "Authorization: NTLM alice")
    async with asyncio.timeout(5):
        while proxy.session.pool.sockets:
            await asyncio.sleep(0.01)

    closed = proxy.session.stats.origins[origin.url].closed
    assert closed == {CloseReason.EXPIRED_IDLE: 1}
