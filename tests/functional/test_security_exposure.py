"""Requirements S1 to S7: who can reach what, and what they get to see."""

import logging
import re

import pytest

from reuse_proxy.config.address import Address
from reuse_proxy.config.loading import load
from reuse_proxy.errors import SettingsError
from tests.support.client import Client, request_bytes
from tests.support.machine import own_address
from tests.support.scrape import scrape


@pytest.mark.parametrize(
    ("listener", "address", "guard"),
    [
        ("listen", "0.0.0.0:4128", "allow_clients"),
        ("listen", "[::]:4128", "allow_clients"),
        ("listen", "192.0.2.1:4128", "allow_clients"),
        ("admin", "0.0.0.0:4129", "allow_admin"),
    ],
)
def test_s1_a_listener_for_others_without_its_list_refuses_to_start(
    listener, address, guard
):
    """The message names the setting that would allow it."""
    with pytest.raises(SettingsError, match=guard):
        load({listener: address}, {}, None)


def test_s1_both_listeners_are_loopback_by_default(default_settings):
    """Nobody else can connect unless somebody says so."""
    addresses = [*default_settings.listen, default_settings.admin]

    assert all(address.is_loopback for address in addresses)


async def test_s2_a_peer_outside_the_list_is_refused_at_accept(make_proxy, origin):
    """The peer is this machine under an address that is not loopback."""
    host = own_address()
    proxy = await make_proxy(listen=f"{host}:0", allow_clients="198.51.100.0/24")

    async with Client(proxy.listening[0]) as stranger:
        answer = await stranger.until_closed()

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"allow_clients" in answer
    assert origin.accepted == 0


async def test_s2_a_peer_on_the_list_is_served(make_proxy, origin):
    """The same peer, once its address is allowed."""
    host = own_address()
    proxy = await make_proxy(listen=f"{host}:0", allow_clients=f"{host}/32")

    async with Client(proxy.listening[0]) as friend:
        response = await friend.get(f"{origin.url}/")

    assert response.body == b"hello"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.2",
        "127.1",
        "localhost",
        "localhost.",
        "0.0.0.0",  # noqa: S104 - nothing is bound
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "anything.test",
    ],
)
@pytest.mark.parametrize("listener", ["proxy", "admin"])
async def test_s3_own_listeners_cannot_be_reached_through_the_proxy(
    proxy, names, client, host, listener
):
    """Whatever the spelling: the address that would be dialled decides."""
    names.table["127.1"] = ["127.0.0.1"]
    own = proxy.listening[0] if listener == "proxy" else proxy.admin_address

    response = await client.get(f"http://{host}:{own.port}/metrics")

    assert response.status == 403
    assert "proxy_loop_detected" in response.value("Proxy-Status")
    assert len(proxy.server.connections) == 1


async def test_s3_own_interface_addresses_are_own_listeners_too(proxy, client):
    """A port of ours on any address that this machine can bind."""
    url = f"http://{own_address()}:{proxy.listening[0].port}/"

    response = await client.get(url)

    assert response.status == 403
    assert "proxy_loop_detected" in response.value("Proxy-Status")


async def test_s3_another_server_on_loopback_is_reachable(proxy, client, make_origin):
    """A developer's proxy must reach what the developer runs."""
    origin = await make_origin(name="127.0.0.1")

    response = await client.get(f"{origin.url}/")

    assert response.body == b"hello"


async def test_s4_a_request_that_came_through_this_instance_is_refused(
    proxy, origin, client
):
    """Its own Via comes back to it."""
    await client.get(f"{origin.url}/")
    via = origin.requests[0].values(b"via")[0].decode()

    response = await client.get(f"{origin.url}/", f"Via: 1.0 fred, {via}")

    assert response.status == 502
    assert "proxy_loop_detected" in response.value("Proxy-Status")
    assert len(origin.requests) == 1


async def test_s4_two_instances_in_a_row_are_not_a_loop(
    make_proxy, origin, make_client
):
    """The second sees the first's Via, and adds its own."""
    first, second = await make_proxy(), await make_proxy()
    await (await make_client(first)).get(f"{origin.url}/")
    via = origin.requests[0].values(b"via")[0].decode()

    response = await (await make_client(second)).get(f"{origin.url}/", f"Via: {via}")

    assert response.status == 200
    assert len(set(b",".join(origin.requests[1].values(b"via")).split(b","))) == 2


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/api/v1/settings"])
async def test_s5_the_admin_endpoints_are_not_on_the_proxy_port(client, path):
    """In origin-form they are none of our targets."""
    await client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    response = await client.response()

    assert response.status in (400, 404)
    assert b"reuse_proxy_" not in response.body


async def test_s6_an_origin_form_request_is_never_forwarded_by_host(
    proxy, origin, client
):
    """A browser's page can aim at the proxy port, and choose the path only."""
    for host in (origin.authority, b"169.254.169.254"):
        await client.send(b"GET /bytes/1 HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
        response = await client.response()

        assert response.status == 400
        assert b"169.254" not in response.body
    assert origin.accepted == 0


async def test_s7_series_are_bounded_and_carry_nothing_of_a_request(
    make_proxy, make_origin, make_client
):
    """Six origins, labels for three; no path, query, user, field or client port."""
    proxy = await make_proxy(metrics_max_origins=3)
    client = await make_client(proxy)
    origins = [await make_origin(name=f"o{number}.test") for number in range(6)]
    fields = ("Authorization: Basic c2VjcmV0", "Cookie: sid=secret")
    for origin in origins:
        await client.get(f"{origin.url}/hidden?token=secret", *fields)

    text = await scrape(proxy.admin_address)

    seen = set(re.findall(r'origin="([^"]*)"', text))
    assert seen == {*(origin.url for origin in origins[:3]), "other"}
    client_port = client.writer.get_extra_info("sockname")[1]
    for private in ("secret", "hidden", "token", "Basic", f":{client_port}"):
        assert private not in text


async def test_s7_logs_show_no_credentials(proxy, origin, client, caplog):
    """Neither of a request that is served nor of ones that are refused."""
    caplog.set_level(logging.DEBUG)
    secrets = (
        "Authorization: Basic hidden-1",
        "Proxy-Authorization: Basic hidden-2",
        "Cookie: sid=hidden-3",
    )
    await client.get(f"{origin.url}/?q=hidden-4", *secrets)
    await client.get("http://nowhere.invalid/?q=hidden-4", *secrets)
    bad = request_bytes(f"http://user:hidden-5@{origin.name}/", *secrets)
    await client.send(bad)

    response = await client.response()

    assert response.status == 400
    assert b"hidden" not in response.body
    assert "hidden" not in caplog.text


async def test_s7_a_malformed_head_puts_no_credentials_in_the_log(
    proxy, client, caplog
):
    """The parser's own message quotes the head; ours must not."""
    caplog.set_level(logging.DEBUG)
    await client.send(
        b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
        b"Authorization: Basic hidden-1\r\nCookie: sid=hidden-2\x00\r\n\r\n"
    )

    answer = await client.until_closed()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"hidden" not in answer
    assert "hidden" not in caplog.text


async def test_s1_a_unix_listener_is_only_for_its_user(make_proxy, origin, tmp_path):
    """The socket file is 0600, and serves."""
    path = tmp_path / "proxy.sock"
    await make_proxy(listen=f"unix:{path}")

    async with Client(Address(path=str(path))) as client:
        response = await client.get(f"{origin.url}/")

    assert response.body == b"hello"
    assert path.stat().st_mode & 0o777 == 0o600
