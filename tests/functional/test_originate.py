"""TLS origination: clear to the proxy, pooled and verified TLS to the origin."""

import asyncio
import contextlib
import os
import socket
import ssl

import pytest

from reuse_proxy.errors import SettingsError
from reuse_proxy.upstream.tls import TlsContexts
from tests.support.client import Client
from tests.support.origin import serve_paths
from tests.support.own_errors import assert_own_error
from tests.support.scrape import admin_json, samples, scrape
from tests.support.tunnels import need_ipv6


@pytest.fixture
async def originating(make_proxy, authority):
    """Start a proxy that speaks TLS to the test origins."""

    async def make(**settings):
        return await make_proxy(
            **{"originate_tls": "*.test", "ca_file": authority.file, **settings}
        )

    return make


def clear(origin, name="origin.test"):
    """The URL by which a client asks for an origin in clear."""
    return f"http://{name}:{origin.port}"


async def test_clients_share_one_tls_connection(originating, make_client, tls_origin):
    """Twenty clients with one request each, in clear and as https:// targets."""
    proxy = await originating()
    for number in range(20):
        client = await make_client(proxy)
        url = clear(tls_origin) if number % 2 else tls_origin.url
        response = await client.get(f"{url}/bytes/10")

        assert response.body == b"x" * 10
    assert tls_origin.accepted == 1


async def test_the_origin_is_asked_for_http_1_1_with_its_name(
    originating, make_client, make_origin, authority
):
    """SNI is the host, ALPN http/1.1 only (S35); TLS 1.2 at least."""
    seen = {}

    def note(tls, name, _):
        seen["name"], seen["tls"] = name, tls

    context = authority.server()
    context.sni_callback = note
    origin = await make_origin(tls=context)
    client = await make_client(await originating())
    await client.get(clear(origin) + "/")

    assert seen["name"] == "origin.test"
    assert seen["tls"].selected_alpn_protocol() == "http/1.1"
    assert seen["tls"].version() in ("TLSv1.2", "TLSv1.3")


async def test_a_host_that_is_not_listed_is_asked_in_clear(
    originating, make_client, origin
):
    """The first entry that matches counts, and none means plain HTTP."""
    proxy = await originating(originate_tls="other.test, origin.test:1")
    client = await make_client(proxy)

    assert (await client.get(f"{origin.url}/")).body == b"hello"


async def test_a_port_can_be_mapped_and_host_names_the_new_one(
    originating, make_client, tls_origin
):
    """`host:port=tlsport`: only that port, and Host says where TLS is spoken."""
    proxy = await originating(originate_tls=f"origin.test:8080={tls_origin.port}")
    client = await make_client(proxy)
    response = await client.get("http://origin.test:8080/a?b")

    assert response.status == 200
    assert tls_origin.requests[0].target == b"/a?b"
    assert tls_origin.requests[0].values(b"host") == [tls_origin.authority]


async def test_redirects_and_cookies_pass_as_they_are(
    originating, make_client, make_origin, authority
):
    """Nothing is rewritten; Host keeps the client's spelling."""
    lines = (
        b"Location: https://origin.test/next",
        b"Set-Cookie: a=b; Secure; HttpOnly",
        b"Strict-Transport-Security: max-age=1",
    )

    async def script(connection):
        await connection.request()
        await connection.reply(b"", *lines, status=302)
        await connection.closed()

    origin = await make_origin(script, tls=authority.server())
    client = await make_client(await originating())
    response = await client.get(clear(origin, "Origin.TEST") + "/")

    assert response.value("Location") == "https://origin.test/next"
    assert response.value("Set-Cookie") == "a=b; Secure; HttpOnly"
    assert response.value("Strict-Transport-Security") == "max-age=1"
    host = b"Origin.TEST:%d" % origin.port
    assert origin.requests[0].values(b"host") == [host]


async def test_https_targets_need_no_setting(
    make_proxy, make_client, tls_origin, authority
):
    """A30: an https:// target is TLS, whoever sends it to a proxy."""
    client = await make_client(await make_proxy(ca_file=authority.file))

    assert (await client.get(f"{tls_origin.url}/")).body == b"hello"


async def test_uploads_and_large_downloads_pass(originating, make_client, tls_origin):
    """A megabyte each way."""
    client = await make_client(await originating())
    body = bytes(range(256)) * 4096
    head = f"POST {clear(tls_origin)}/echo HTTP/1.1\r\nHost: x\r\n"
    await client.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode(), body)

    assert (await client.response("POST")).body == body
    assert len((await client.get(f"{clear(tls_origin)}/bytes/1000000")).body) == 10**6


async def test_the_handshake_is_measured_and_sessions_are_resumed(
    originating, make_client, tls_origin
):
    """Two connections: the second offers the ticket of the first."""
    proxy = await originating(idle_timeout="300ms")
    client = await make_client(proxy)
    await client.get(clear(tls_origin) + "/")
    async with asyncio.timeout(10):
        while proxy.session.pool.sockets:
            await asyncio.sleep(0.01)
    await client.get(clear(tls_origin) + "/")
    view = await admin_json(proxy.admin_address, "/api/v1/pools")
    text = await scrape(proxy.admin_address)

    (connection,) = view["origins"][0]["connections"]
    assert connection["tls"]["version"] == "TLSv1.3"
    assert connection["tls"]["resumed"] is True
    assert view["origins"][0]["origin"] == tls_origin.url
    assert samples(text, "upstream_connect_seconds_count")["tls",] == 2
    assert tls_origin.accepted == 2


# Failures...


async def test_an_unknown_authority_is_502_and_names_ca_file(
    make_proxy, make_client, tls_origin
):
    """The system's authorities know nothing of the test's."""
    client = await make_client(await make_proxy())
    response = await client.get(f"{tls_origin.url}/", "Cookie: secret")

    assert_own_error(response, 502, "tls_certificate_error")
    assert b"name its file in ca_file" in response.body
    assert tls_origin.requests == []


async def test_a_client_cannot_switch_verification_off(
    make_proxy, make_client, tls_origin
):
    """S31: whatever fields it sends."""
    client = await make_client(await make_proxy())
    fields = ("X-Insecure: 1", "Proxy-Insecure: true", "X-SSL-Verify: false")
    response = await client.get(f"{tls_origin.url}/", *fields)

    assert response.status == 502


@pytest.mark.parametrize("silent", [True, False])
async def test_a_handshake_that_does_not_end_is_504_or_502(
    originating, make_client, make_origin, silent
):
    """tls_timeout for one that says nothing, at once for one that closes."""

    async def script(connection):
        if silent:
            await connection.closed()

    origin = await make_origin(script)
    client = await make_client(await originating(tls_timeout="300ms"))
    response = await client.get(clear(origin) + "/")

    if silent:
        assert_own_error(response, 504, "connection_timeout")
        assert b"(tls_timeout)" in response.body
    else:
        assert_own_error(response, 502, "connection_terminated")


async def test_stopping_does_not_wait_for_a_handshake(originating, make_origin):
    """It is ended; its waiter is told that the proxy stops."""
    hello = asyncio.Event()

    async def script(connection):
        await connection.reader.readexactly(5)
        hello.set()
        await connection.closed()

    origin = await make_origin(script)
    proxy = await originating()
    async with Client(proxy.listening[0]) as client:
        await client.send(f"GET {clear(origin)}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await hello.wait()
        async with asyncio.timeout(5):
            await proxy.stop()
            await client.until_closed()
    assert proxy.session.pool.sockets == 0


async def test_s9_denied_destinations_are_denied_with_tls_too(
    originating, make_client, names
):
    """The check is on the address, before any byte."""
    names.table["meta.test"] = ["169.254.169.254"]
    client = await make_client(await originating())
    response = await client.get("https://meta.test/")

    assert_own_error(response, 403, "destination_ip_prohibited")


async def test_a_file_that_is_gone_is_503_and_leaves_no_phantom(
    originating, make_client, tls_origin, authority, tmp_path
):
    """Contexts are made with the first request; the next one may succeed."""
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.file.read_bytes())
    proxy = await originating(ca_file=file)
    client = await make_client(proxy)
    file.unlink()
    refused = await client.get(clear(tls_origin) + "/")
    left = proxy.session.pool.sockets
    file.write_bytes(authority.file.read_bytes())

    assert_own_error(refused, 503, "connection_limit_reached")
    assert str(file).encode() in refused.body
    assert left == 0
    assert (await client.get(clear(tls_origin) + "/")).status == 200


async def test_a_failure_of_our_own_in_a_dial_is_told_and_leaves_no_phantom(
    originating, make_client, tls_origin, monkeypatch
):
    """Whatever it is: the place under the caps is given back, and the client told."""

    async def fail(*_):
        raise RuntimeError("a bug")

    proxy = await originating()
    monkeypatch.setattr(TlsContexts, "context", fail)
    client = await make_client(proxy)
    response = await client.get(clear(tls_origin) + "/")

    assert_own_error(response, 500, "proxy_internal_error")
    assert proxy.session.pool.sockets == 0


@pytest.mark.parametrize("spelled", ["[::1]", "[0:0::0:1]", "[0:0:0:0:0:0:0:1]"])
async def test_an_address_is_originated_however_it_is_spelled(
    originating, make_client, make_origin, authority, spelled
):
    """Or a request that was meant for TLS would go out in clear."""
    need_ipv6()
    origin = await make_origin(tls=authority.server(), host="::1")
    client = await make_client(await originating(originate_tls="[::1]"))
    response = await client.get(f"http://{spelled}:{origin.port}/")

    assert response.status == 200


# Client certificates...


async def test_a_client_certificate_is_shown_to_its_hosts_alone(
    make_proxy, make_origin, make_client, authority
):
    """S31: two hosts at one address, each with connections of its own."""
    shown = []

    async def script(connection):
        tls = connection.writer.get_extra_info("ssl_object")
        names = (tls.getpeercert() or {}).get("subjectAltName", ())
        shown.append([value for _, value in names])
        await serve_paths(connection)

    context = authority.asking_server()
    context.verify_mode = ssl.CERT_OPTIONAL
    origin = await make_origin(script, tls=context)
    one = authority.client_certificate("one.client")
    two = authority.client_certificate("two.client")
    proxy = await make_proxy(
        originate_tls="*",
        ca_file=authority.file,
        client_cert=f"a.test={one}, b.test:{origin.port}={two}",
    )
    client = await make_client(proxy)
    for _ in range(2):
        for host in ("a.test", "b.test", "c.test"):
            assert (await client.get(clear(origin, host) + "/")).status == 200

    assert shown == [["one.client"], ["two.client"], []]
    assert origin.accepted == 3


async def test_a_missing_client_certificate_is_502_and_names_client_cert(
    originating, make_client, authority
):
    """TLS 1.3 tells so only after the handshake, perhaps before the first request."""
    context = authority.asking_server()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse():
            with context.wrap_socket(
                server.accept()[0], server_side=True, do_handshake_on_connect=False
            ) as tls:
                with contextlib.suppress(ssl.SSLError):
                    tls.do_handshake()
                # Or a reset for what is unread would overtake the alert.
                while os.read(tls.fileno(), 65536):
                    pass

        thread = asyncio.create_task(asyncio.to_thread(refuse))  # noqa: TID251
        client = await make_client(await originating())
        url = f"http://origin.test:{server.getsockname()[1]}/"
        response = await client.get(url)
        await thread

    error = "tls_alert_received"
    if b"at once" in response.body:
        error = "connection_terminated"
    assert_own_error(response, 502, error)
    assert b"client_cert)" in response.body


@pytest.mark.parametrize(
    ("setting", "content", "reason"),
    [
        ("ca_file", None, "No such file"),
        ("ca_file", "nothing of a certificate", "PEM form"),
        ("client_cert", None, "No such file"),
        ("client_cert", "-----BEGIN CERTIFICATE-----\nx\n", "PEM form"),
    ],
)
async def test_a_file_that_cannot_be_used_is_refused_at_the_start(
    make_proxy, tmp_path, setting, content, reason
):
    """With the setting, the file, where it was set, and what is wanted."""
    file = tmp_path / "x.pem"
    if content is not None:
        file.write_text(content)
    value = f"a.test={file}" if setting == "client_cert" else str(file)

    with pytest.raises(SettingsError, match=reason) as caught:
        await make_proxy(**{setting: value})

    assert f"{setting} = {value} (from --{setting.replace('_', '-')})" in str(
        caught.value
    )


async def test_a_name_that_no_certificate_can_have_is_502(
    originating, make_client, tls_origin, names
):
    """Wherever the loop minds it."""
    host = f"{'a' * 64}.test"
    names.table[host] = ["127.0.0.1"]
    client = await make_client(await originating())
    response = await client.get(f"https://{host}:{tls_origin.port}/")

    assert response.status == 502
    assert b"Traceback" not in response.body
    assert tls_origin.requests == []
