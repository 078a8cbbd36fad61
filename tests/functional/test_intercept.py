"""Interception: a listed host's CONNECT is opened, and its requests are pooled."""

import asyncio
import hashlib
from datetime import timedelta

import pytest
from cryptography import x509

from tests.support.client import Client
from tests.support.intercepting import intercepted, intercepts
from tests.support.own_errors import assert_own_error

HOST = ("Host: origin.test",)


async def test_clients_that_connect_anew_share_one_connection(
    intercepting, tls_origin, local_ca
):
    """Twenty CONNECTs with two requests each; the origin has accepted once."""
    proxy = await intercepting()
    for _ in range(20):
        async with intercepted(proxy, tls_origin, local_ca) as client:
            first = await client.ask("/bytes/10", *HOST)
            second = await client.ask("/bytes/20", *HOST)

            assert (len(first.body), len(second.body)) == (10, 20)
    assert tls_origin.accepted == 1
    assert len(tls_origin.requests) == 40
    assert intercepts(proxy, tls_origin)["ok"] == 20


async def test_the_leaf_is_short_lived_and_names_the_host_alone(
    intercepting, tls_origin, local_ca
):
    """S34: at most seven days, the name in the SAN, ALPN http/1.1 only (S35)."""
    proxy = await intercepting()
    context = local_ca.client()
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with Client(proxy.listening[0]) as client:
        await client.connect(tls_origin.authority)
        await client.start_tls(context, "origin.test")
        tls = client.writer.get_extra_info("ssl_object")
        leaf = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)

        assert tls.selected_alpn_protocol() == "http/1.1"
        assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= timedelta(days=7)
        assert names.value.get_values_for_type(x509.DNSName) == ["origin.test"]
        assert not list(leaf.subject)
        await client.ask("/", *HOST)


async def test_s35_a_host_that_is_not_listed_stays_an_opaque_tunnel(
    intercepting, tls_origin, authority, local_ca
):
    """The client sees the origin's own certificate, and we see no request."""
    proxy = await intercepting(intercept="other.test")
    async with Client(proxy.listening[0]) as client:
        assert await client.connect(tls_origin.authority) == 200
        await client.start_tls(authority.client(), "origin.test")
        response = await client.ask("/bytes/7", *HOST)

        assert len(response.body) == 7
        assert len(proxy.tunnels.open) == 1
    assert intercepts(proxy, tls_origin) == {}
    assert "https://" not in "".join(proxy.session.stats.origins)


async def test_s34_interception_is_off_unless_asked_for(
    make_proxy, tls_origin, authority
):
    """By default every CONNECT is a tunnel."""
    proxy = await make_proxy(connect_ports=tls_origin.port)
    async with Client(proxy.listening[0]) as client:
        await client.connect(tls_origin.authority)
        await client.start_tls(authority.client(), "origin.test")

        assert (await client.ask("/", *HOST)).body == b"hello"
        assert len(proxy.tunnels.open) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "xn--bcher-kva.test"])
async def test_an_address_and_an_idn_host_get_a_leaf_of_their_own(
    make_origin, make_proxy, authority, local_ca, host
):
    """An IP address stands in the SAN as one; an IDN host in its ASCII form."""
    listens = "::1" if host == "::1" else "127.0.0.1"
    try:
        origin = await make_origin(tls=authority.server(host), host=listens)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    proxy = await make_proxy(
        intercept=f"[{host}]" if ":" in host else host,
        ca_dir=local_ca.folder,
        ca_file=authority.file,
        connect_ports=origin.port,
    )
    async with intercepted(proxy, origin, local_ca, host=host) as client:
        assert (await client.ask("/", f"Host: {origin.port}.test")).body == b"hello"
    assert origin.accepted == 1


@pytest.mark.parametrize("host", ["*.test", "a~b.test", f"{'a' * 64}.test"])
async def test_a_host_that_cannot_stand_in_a_certificate_is_refused(
    intercepting, make_client, tls_origin, host
):
    """400 before anything is opened, with the reason; the connection ends."""
    client = await make_client(await intercepting())
    await client.send(f"CONNECT {host}:{tls_origin.port} HTTP/1.1\r\n".encode())
    await client.send(b"Host: x\r\n\r\n")
    response = await client.response()

    assert_own_error(response, 400)
    assert b"certificate" in response.body
    assert await client.rest() == b""


async def test_the_host_field_and_the_path_go_on_as_they_came(
    intercepting, tls_origin, local_ca
):
    """Inside, requests have the origin-form, and Host is the client's own."""
    proxy = await intercepting()
    async with intercepted(proxy, tls_origin, local_ca) as client:
        await client.ask("/a/../b?c=%2F", "hOST: Virtual.Example:1234", "X-A: 1")
        await client.ask("*", *HOST, method="OPTIONS")
        first, second = tls_origin.requests

        assert first.line == b"GET /a/../b?c=%2F HTTP/1.1"
        assert b"hOST: Virtual.Example:1234" in first.lines
        assert first.values(b"via")[0].startswith(b"1.1 reuse-proxy")
        assert second.line == b"OPTIONS * HTTP/1.1"


async def test_an_absolute_target_inside_must_name_the_same_origin(
    intercepting, tls_origin, local_ca
):
    """It is for whom CONNECT named, and nobody else."""
    proxy = await intercepting()
    async with intercepted(proxy, tls_origin, local_ca) as client:
        same = await client.ask(f"{tls_origin.url}/bytes/3", *HOST)
        other = await client.ask("https://other.test/", *HOST)

        assert same.body == b"xxx"
        assert_own_error(other, 400)
        assert b"opened for https://origin.test" in other.body
    assert len(tls_origin.requests) == 1


async def test_a_connect_inside_of_an_opened_one_is_refused(
    intercepting, tls_origin, local_ca
):
    """There is nothing in it that a tunnel could lead to."""
    proxy = await intercepting()
    async with intercepted(proxy, tls_origin, local_ca) as client:
        await client.send(b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n")

        assert_own_error(await client.response(), 400)


async def test_uploads_and_downloads_pass_byte_for_byte(
    intercepting, tls_origin, local_ca
):
    """Counted and chunked, up and down, pipelined, in both directions."""
    proxy = await intercepting()
    body = bytes(range(256)) * 4000
    async with intercepted(proxy, tls_origin, local_ca) as client:
        head = f"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        await client.send(head.encode(), body)
        echoed = (await client.response("POST")).body
        await client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\n")
        await client.send(b"Transfer-Encoding: chunked\r\n\r\n")
        await client.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        again = (await client.response("POST")).body
        chunked = (await client.ask("/chunked/300000", *HOST)).body
        await client.send(
            *(b"GET /bytes/%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in (2, 1))
        )
        pipelined = [(await client.response()).body for _ in range(2)]

        digest = hashlib.sha256(body).digest()
        assert hashlib.sha256(echoed).digest() == digest
        assert hashlib.sha256(again).digest() == digest
        assert chunked == b"y" * 300000
        assert pipelined == [b"xx", b"x"]


async def test_a_client_counts_once_against_max_clients(
    intercepting, tls_origin, local_ca
):
    """The opened connection takes the place of the one that asked for it."""
    proxy = await intercepting(max_clients=1)
    for _ in range(3):
        async with intercepted(proxy, tls_origin, local_ca) as client:
            assert (await client.ask("/", *HOST)).status == 200
            assert len(proxy.server.connections) == 1
        async with asyncio.timeout(5):
            while proxy.server.connections:
                await asyncio.sleep(0.01)


async def test_stopping_does_not_wait_for_idle_intercepted_clients(
    intercepting, tls_origin, local_ca
):
    """They are closed like any other idle client."""
    proxy = await intercepting()
    async with intercepted(proxy, tls_origin, local_ca) as client:
        await client.ask("/", *HOST)
        async with asyncio.timeout(5):
            finished = await proxy.drain()

        assert finished
        assert await client.until_closed() == b""


async def test_a_host_can_be_listed_with_a_port(intercepting, tls_origin, local_ca):
    """Other ports of it stay tunnels."""
    opens = await intercepting(intercept=f"origin.test:{tls_origin.port}")
    leaves = await intercepting(intercept="origin.test:1")
    async with intercepted(opens, tls_origin, local_ca) as client:
        assert (await client.ask("/", *HOST)).status == 200
    async with Client(leaves.listening[0]) as client:
        assert await client.connect(tls_origin.authority) == 200
        assert len(leaves.tunnels.open) == 1
