"""The access log of tunnels, and of what is opened with the local CA."""

import asyncio
import ssl

import pytest

from tests.support.client import Client, request_bytes
from tests.support.intercepting import intercepted, intercepts
from tests.support.logs import as_metric, told
from tests.support.parent import BASIC, LOGIN, SECRETS
from tests.support.scrape import samples, scrape
from tests.support.tunnels import connect_bytes, echo, idle

ESTABLISHED = b"HTTP/1.1 200 Connection Established\r\n\r\n"
JSON = {"access_log": "json", "access_log_paths": "true"}


async def counted(proxy):
    """What requests_total says by now."""
    text = await scrape(proxy.admin_address)
    values = samples(text, "requests_total").items()
    return {key: value for key, value in values if value}


# Tunnels...


async def test_a_tunnel_has_one_line_at_its_end_with_its_bytes_both_ways(
    tunnelling, make_origin, make_client, access_log
):
    """Heads included; and none as long as it is open."""
    origin = await make_origin(echo)
    proxy = await tunnelling(origin, log=access_log, **JSON)
    client = await make_client(proxy)
    asked = connect_bytes(origin.authority) + b"early"
    await client.send(asked)
    assert await client.reader.readexactly(len(ESTABLISHED) + 5)
    await client.send(b"x" * 100_000)
    await client.reader.readexactly(100_000)
    open_lines = await access_log.raw(0)
    client.shut_writing()
    await client.until_closed()

    [entry] = await access_log.entries(1)
    assert open_lines == []
    assert told(entry, "method", "origin", "path", "status", "via") == (
        "CONNECT",
        f"origin.test:{origin.port}",
        None,
        200,
        "tunnel",
    )
    assert entry["bytes"] == len(ESTABLISHED) + 5 + 100_000
    assert entry["received"] == len(asked) + 100_000
    assert entry["total"] >= entry["queue"]
    assert entry["connect"] > 0
    assert told(entry, "why_not_reused", "error", "aborted") == (None, None, None)
    assert as_metric([entry]) == await counted(proxy)


async def test_a_switched_protocol_has_one_line_at_its_end(
    make_proxy, make_origin, make_client, access_log
):
    """Via a tunnel, whether its connection had carried requests before or not."""

    async def script(connection):
        await connection.request()
        await connection.reply(b"hello")
        await connection.request()
        switch = b"HTTP/1.1 101 Go\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n"
        await connection.send(switch)
        await echo(connection)

    origin = await make_origin(script)
    proxy = await make_proxy(log=access_log, **JSON)
    client = await make_client(proxy)
    await client.get(f"{origin.url}/first")
    url, fields = f"{origin.url}/chat?x", ("Connection: upgrade", "Upgrade: echo")
    await client.send(asked := request_bytes(url, *fields))
    head = await client.reader.readuntil(b"\r\n\r\n")
    await client.send(b"ping")
    await client.reader.readexactly(4)
    client.reset()

    first, entry = await access_log.entries(2)
    assert first["via"] == "new"
    assert told(entry, "origin", "path", "status", "via", "connect") == (
        origin.url,
        "/chat?x",
        101,
        "tunnel",
        None,
    )
    assert entry["bytes"] == len(head) + 4
    assert entry["received"] == len(asked) + 4
    assert told(entry, "why_not_reused", "error", "aborted") == (None, None, None)
    assert as_metric([first, entry]) == await counted(proxy)


async def test_a_tunnel_that_is_refused_says_why(
    tunnelling, make_origin, make_client, access_log
):
    """By its port, its destination, and because nobody listens there."""
    origin = await make_origin(echo)
    proxy = await tunnelling(
        origin, log=access_log, connect_ports="1,443", deny_ports="443", **JSON
    )
    for port in (22, 443, 1):
        client = await make_client(proxy)
        await client.connect(f"origin.test:{port}")

    entries = await access_log.entries(3)
    assert [told(e, "origin", "status", "error", "via") for e in entries] == [
        ("origin.test:22", 403, "http_request_denied", "none"),
        ("origin.test:443", 403, "http_request_denied", "none"),
        ("origin.test:1", 502, "connection_refused", "none"),
    ]
    assert as_metric(entries) == await counted(proxy)


async def test_a_client_that_leaves_before_its_tunnel_is_open_left_the_queue(
    tunnelling, make_origin, access_log
):
    """It waited for a place under the cap on sockets."""
    origin = await make_origin(idle)
    proxy = await tunnelling(origin, log=access_log, max_sockets=1, **JSON)
    async with Client(proxy.listening[0]) as holder:
        await holder.connect(origin.authority)
        async with Client(proxy.listening[0]) as client:
            named = b"User-Agent: curl/8"
            await client.send(connect_bytes(origin.authority, named))
            (pool,) = proxy.session.pool.origins.values()
            await origin.until(lambda: bool(pool.waiters))
            client.reset()
            [entry] = await access_log.entries(1)

    assert told(entry, "aborted", "status", "via", "error") == (
        "queue",
        499,
        "none",
        None,
    )
    assert entry["client"] == "curl at 127.0.0.1"
    assert entry["total"] >= entry["queue"] >= 0


async def test_a_shutdown_ends_tunnels_and_says_so(
    tunnelling, make_origin, make_client, access_log
):
    """Neither side has closed it."""
    origin = await make_origin(echo)
    proxy = await tunnelling(origin, log=access_log, **JSON)
    client = await make_client(proxy)
    await client.connect(origin.authority)
    await proxy.stop()

    [entry] = await access_log.entries(1)
    assert told(entry, "status", "via", "aborted") == (200, "tunnel", "shutdown")


async def test_through_a_parent_proxy_the_origin_is_told_and_no_secret(
    behind, make_parent, make_origin, make_client, access_log
):
    """Plain requests share its connection, a tunnel has one of its own."""
    origin = await make_origin(echo)
    parent = await make_parent(credentials=BASIC)
    proxy = await behind(
        parent, LOGIN, log=access_log, connect_ports=origin.port, **JSON
    )
    client = await make_client(proxy)
    for number in range(2):
        await client.get(f"http://host{number}.elsewhere/a%2fb?c=d")
    await client.connect(origin.authority)
    client.reset()

    entries = await access_log.entries(3)
    assert [told(e, "origin", "path", "via", "status") for e in entries] == [
        ("http://host0.elsewhere:80", "/a%2fb?c=d", "new", 200),
        ("http://host1.elsewhere:80", "/a%2fb?c=d", "reused", 200),
        (f"origin.test:{origin.port}", None, "tunnel", 200),
    ]
    assert parent.accepted == 2
    text = access_log.path.read_text()
    assert not [secret for secret in SECRETS if secret in text]


# Interception...


async def test_requests_inside_of_an_opened_connect_have_a_line_each(
    intercepting, tls_origin, local_ca, access_log
):
    """And so has the CONNECT; all of them are of one client."""
    proxy = await intercepting(log=access_log, **JSON)
    async with intercepted(proxy, tls_origin, local_ca) as client:
        host = f"Host: origin.test:{tls_origin.port}"
        agent = "User-Agent: curl/8.1"
        for path in ("/one?a=b", "/two"):
            await client.ask(path, host, agent)
        await client.ask("https://other.test/", host, agent)

    entries = await access_log.all_entries(proxy)
    origin = tls_origin.url
    keys = ("method", "origin", "path", "status", "via", "client")
    name = "curl at 127.0.0.1"
    assert [told(entry, *keys) for entry in entries[1:]] == [
        ("GET", origin, "/one?a=b", 200, "new", name),
        ("GET", origin, "/two", 200, "reused", name),
        ("GET", None, None, 400, "none", name),
    ]
    connect = entries[0]
    assert told(connect, *keys[:-1]) == ("CONNECT", origin, None, 200, "intercept")
    assert told(connect, "error", "aborted", "why_not_reused") == (None, None, None)
    assert connect["bytes"] == len(ESTABLISHED)
    assert as_metric(entries[:3]) == await counted(proxy)
    [account] = proxy.ledger.accounts()
    assert sum(entry["bytes"] for entry in entries) == account.sent
    assert sum(entry["received"] for entry in entries) == account.received


async def test_a_client_that_distrusts_the_local_ca_has_a_line_that_says_so(
    intercepting, tls_origin, authority, access_log
):
    """With the word that intercepts_total has."""
    proxy = await intercepting(log=access_log, **JSON)
    async with Client(proxy.listening[0]) as client:
        await client.connect(tls_origin.authority)
        with pytest.raises(ssl.SSLCertVerificationError):
            await client.start_tls(authority.client(), "origin.test")
    async with Client(proxy.listening[0]) as client:
        await client.connect(tls_origin.authority)
        await client.send(b"GET / HTTP/1.1\r\n\r\n")
        await client.until_closed()

    entries = await access_log.entries(2)
    results = [told(entry, "status", "via", "error") for entry in entries]
    assert results == [
        (200, "intercept", "refused_ca"),
        (200, "intercept", "not_tls"),
    ]
    assert intercepts(proxy, tls_origin) == {"refused_ca": 1, "not_tls": 1}


async def test_a_connect_to_a_host_that_no_certificate_can_name_has_a_line(
    intercepting, tls_origin, make_client, access_log
):
    """It is refused before its client is told anything."""
    proxy = await intercepting(log=access_log, intercept="*", **JSON)
    client = await make_client(proxy)
    status = await client.connect(f"a_b!.test:{tls_origin.port}")

    [entry] = await access_log.entries(1)
    assert status == 400
    assert told(entry, "status", "via", "error") == (400, "none", "http_request_error")


async def test_a_shutdown_amid_a_handshake_says_so(
    intercepting, tls_origin, make_client, access_log
):
    """The client has been told that its CONNECT is open, and has not left."""
    proxy = await intercepting(log=access_log, **JSON)
    client = await make_client(proxy)
    await client.connect(tls_origin.authority)
    await client.send(b"\x16\x03\x01")
    await asyncio.sleep(0)
    await proxy.stop()

    [entry] = await access_log.entries(1)
    assert told(entry, "status", "via", "aborted") == (200, "intercept", "shutdown")
