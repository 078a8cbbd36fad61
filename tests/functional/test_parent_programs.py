"""Behind a real parent: Debian's squid, which wants credentials."""

import asyncio

import pytest

from tests.functional.test_upgrades import switched, switching
from tests.support import programs
from tests.support.own_errors import assert_own_error
from tests.support.parent import LOGIN
from tests.support.squid import running_squid
from tests.support.tunnels import echo, echoed, gone, opened, refused


@pytest.fixture(scope="module")
def squid():
    """One for all tests."""
    with running_squid() as squid:
        yield squid


@pytest.fixture
def behind_squid(make_proxy, squid):
    """Start a proxy behind it."""

    async def make(login=LOGIN, **settings):
        return await make_proxy(
            parent_proxy=f"http://{login}@127.0.0.1:{squid.port}", **settings
        )

    return make


async def test_requests_share_a_connection_to_squid(
    behind_squid, squid, make_client, make_origin
):
    """Twenty clients and two origins: squid itself tells from which ports they came."""
    since = squid.seen()
    origins = [await make_origin() for _ in range(2)]
    proxy = await behind_squid()
    for number in range(20):
        client = await make_client(proxy)
        response = await client.get(f"{origins[number % 2].url}/bytes/1000")
        await client.close()

        assert response.body == b"x" * 1000
    assert await squid.accepted(since, 20) == 1
    assert await squid.requests(since, 20) == [("GET", "200")] * 20
    for request in origins[0].requests:
        assert "squid" in b" ".join(request.values(b"via")).decode()
        assert request.values(b"proxy-authorization") == []


async def test_large_bodies_pass_both_ways(behind_squid, make_client, origin):
    """A megabyte each, and a response that is left unread."""
    proxy = await behind_squid()
    client = await make_client(proxy)
    body = bytes(range(256)) * 4096
    head = f"POST {origin.url}/echo HTTP/1.1\r\nHost: x\r\n"
    await client.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode(), body)
    assert (await client.response("POST")).body == body

    leaving = await make_client(proxy)
    await leaving.send(
        f"GET {origin.url}/bytes/900000 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    )
    await leaving.reader.readexactly(100)
    leaving.reset()
    assert len((await client.get(f"{origin.url}/bytes/1000000")).body) == 10**6


async def test_a_tunnel_through_squid_carries_who_speaks_first(
    behind_squid, make_client, make_origin
):
    """Its greeting may come with squid's answer."""

    async def greeting(connection):
        await connection.send(b"220 ready\r\n")
        await echo(connection)

    origin = await make_origin(greeting)
    proxy = await behind_squid(connect_ports=origin.port)
    client = await opened(make_client, proxy, origin)
    async with asyncio.timeout(10):
        assert await client.reader.readline() == b"220 ready\r\n"
    assert await echoed(client, b"hello") == b"hello"
    client.reset()
    await gone(proxy)


async def test_originated_tls_is_pooled_through_squid(
    behind_squid, squid, make_client, tls_origin, authority
):
    """Twenty clients, one CONNECT."""
    since = squid.seen()
    proxy = await behind_squid(originate_tls="*.test", ca_file=authority.file)
    url = tls_origin.url.replace("https", "http")
    for _ in range(20):
        client = await make_client(proxy)
        assert (await client.get(f"{url}/")).body == b"hello"
        await client.close()
    assert tls_origin.accepted == 1
    await proxy.stop()  # squid logs a tunnel at its end

    assert await squid.requests(since, 1) == [("CONNECT", "200")]


async def test_a_protocol_switch_passes_squid(behind_squid, make_client, make_origin):
    """Which would drop Upgrade from a plain request."""
    origin = await make_origin(switching())
    origin.release.set()
    proxy = await behind_squid()
    client = await make_client(proxy)
    await switched(client, origin)

    assert await echoed(client, b"\x81\x02hi") == b"\x81\x02hi"
    client.reset()
    await gone(proxy)


@pytest.mark.parametrize("login", ["corp-user:wrong", "", "nobody:pa%3Ass"])
async def test_wrong_credentials_are_told_in_our_words(
    behind_squid, squid, make_client, login
):
    """For requests and for tunnels; squid's page of 407 reaches nobody."""
    since = squid.seen()
    proxy = await behind_squid(login)
    for _ in range(3):
        client = await make_client(proxy)
        response = await client.get("http://origin.test/")
        await client.close()

        assert_own_error(response, 502, "proxy_configuration_error")
        assert b"does not take the credentials in parent_proxy" in response.body
    assert await squid.accepted(since, 3) == 1
    client = await make_client(proxy)
    await refused(client, "origin.test:443", 502, "proxy_configuration_error")


async def test_what_squid_forbids_is_told_in_its_words_or_ours(
    behind_squid, make_client
):
    """An answer to a request is the client's; a refused tunnel has none."""
    proxy = await behind_squid()
    client = await make_client(proxy)
    page = await client.get("http://forbidden.test/")
    other = await make_client(proxy)
    response = await refused(other, "forbidden.test:443", 502)

    assert page.status == 403
    assert b"squid" in page.body
    assert b"answered CONNECT forbidden.test:443 with 403" in response.body


async def test_a_destination_that_is_down_is_squids_to_tell(behind_squid, make_client):
    """503 to a request; 502 of ours for a tunnel, as squid says 503."""
    proxy = await behind_squid(connect_ports="1")
    client = await make_client(proxy)
    page = await client.get("http://origin.test:1/")
    other = await make_client(proxy)
    response = await refused(other, "origin.test:1", 502, "destination_unavailable")

    assert page.status == 503
    assert b"answered CONNECT origin.test:1 with 503" in response.body


@pytest.mark.parametrize("way", ["http", "https"])
async def test_curl_needs_to_know_nothing_of_the_parent(
    behind_squid, make_origin, authority, way
):
    """A client, us, squid, an origin."""
    tls = authority.server(http2=False) if way == "https" else None
    origin = await make_origin(tls=tls)
    proxy = await behind_squid(connect_ports=origin.port)
    output = await programs.run(
        *(programs.need("curl"), "-sS", "--cacert", str(authority.file)),
        f"{origin.url}/bytes/10",
        proxy=proxy.url,
    )

    assert output == "x" * 10
    assert origin.accepted == 1
