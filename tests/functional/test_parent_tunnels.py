"""Through a parent by CONNECT: TLS, tunnels, and other protocols."""

import asyncio

import pytest

from tests.functional.test_upgrades import switched, switching
from tests.support.client import request_bytes
from tests.support.intercepting import intercepted
from tests.support.machine import free_ports
from tests.support.own_errors import assert_own_error, assert_untouched
from tests.support.parent import (
    BASIC,
    ESTABLISHED,
    LOGIN,
    PASSWORD,
    answering,
)
from tests.support.scrape import samples, scrape
from tests.support.tunnels import (
    connect_bytes,
    descriptors,
    echo,
    echoed,
    gone,
    opened,
    refused,
    task_names,
)


@pytest.fixture
def asked(behind, make_client):
    """Ask a proxy behind a parent for a tunnel to a host that only the parent knows."""

    async def ask(parent, login="", **settings):
        proxy = await behind(parent, login, **settings)
        return proxy, await make_client(proxy)

    return ask


async def test_a_tunnel_is_opened_through_the_parent(
    behind, make_client, make_parent, make_origin, names
):
    """With our credentials; the origin's name is the parent's to look up."""
    origin = await make_origin(echo)
    parent = await make_parent(credentials=BASIC)
    proxy = await behind(parent, LOGIN, connect_ports=origin.port)
    client = await opened(make_client, proxy, origin)

    assert await echoed(client, b"hello") == b"hello"
    (request,) = parent.requests
    assert request.line == b"CONNECT %b HTTP/1.1" % origin.authority
    assert request.values(b"host") == [origin.authority]
    assert request.values(b"proxy-authorization") == [BASIC]
    assert request.values(b"via")[0].startswith(b"1.1 reuse-proxy (")
    assert (parent.accepted, origin.accepted) == (1, 1)
    assert names.lookups == ["parent.test"]
    client.shut_writing()
    assert await client.until_closed() == b""
    await gone(proxy)


@pytest.mark.parametrize(
    "pieces",
    [
        [ESTABLISHED + b"220 ready\r\n"],
        [b"HTTP/1.0 200\r\n\r\n220 ready\r\n"],
        [b"HTTP/1.1 200 Fine\n\n220 ready\r\n"],
        [ESTABLISHED[:-1], ESTABLISHED[-1:] + b"220 re", b"ady\r\n"],
        [b"HTTP/1.1 103 Wait\r\nLink: x\r\n\r\n" + ESTABLISHED + b"220 ready\r\n"],
        [b"HTTP/1.1 299 Odd\r\nContent-Length: 5\r\n\r\n220 ready\r\n"],
        [bytes([byte]) for byte in ESTABLISHED + b"220 ready\r\n"],
    ],
    ids=["at once", "bare", "LF", "split", "interim", "length", "byte by byte"],
)
async def test_what_comes_behind_the_parents_answer_is_the_tunnels(
    asked, make_parent, pieces
):
    """A server that speaks first, however the parent's answer is cut."""
    parent = await make_parent(answering(*pieces))
    _, client = await asked(parent)
    await client.send(connect_bytes("mail.elsewhere:443"))
    async with asyncio.timeout(10):
        await client.reader.readuntil(b"\r\n\r\n")
        greeting = await client.reader.readline()

    assert greeting == b"220 ready\r\n"
    client.reset()


async def test_originated_tls_is_pooled_through_one_tunnel(
    behind, make_client, make_parent, tls_origin, authority
):
    """Twenty clients: one CONNECT, one TLS session, verified as ever."""
    parent = await make_parent(credentials=BASIC)
    proxy = await behind(parent, LOGIN, originate_tls="*.test", ca_file=authority.file)
    for _ in range(20):
        client = await make_client(proxy)
        url = tls_origin.url.replace("https", "http")
        response = await client.get(f"{url}/bytes/1000")
        await client.close()

        assert response.body == b"x" * 1000
    text = await scrape(proxy.admin_address)
    assert (parent.accepted, tls_origin.accepted) == (1, 1)
    assert tls_origin.requests[0].target == b"/bytes/1000"
    assert tls_origin.requests[0].values(b"proxy-authorization") == []
    phases = samples(text, "upstream_connect_seconds_count")
    assert (phases["tcp",], phases["parent",], phases["tls",]) == (1, 1, 1)
    assert samples(text, "upstream_connections_opened_total") == {(tls_origin.url,): 1}


async def test_interception_goes_through_the_parent(
    behind, parent, tls_origin, authority, local_ca
):
    """The client's TLS ends here, the origin's begins behind the parent."""
    proxy = await behind(
        parent,
        intercept="*.test",
        ca_dir=local_ca.folder,
        ca_file=authority.file,
        connect_ports=tls_origin.port,
    )
    for _ in range(3):
        async with intercepted(proxy, tls_origin, local_ca) as client:
            response = await client.ask("/bytes/10", "Host: origin.test")
            assert response.body == b"x" * 10

    assert (parent.accepted, tls_origin.accepted) == (1, 1)
    assert [request.method for request in parent.requests] == [b"CONNECT"]


async def test_pooled_tls_follows_a_parent_that_moves(
    behind, make_client, parent, tls_origin, authority, names
):
    """It is the parent's name that is looked at again, not the origin's."""
    proxy = await behind(parent, ca_file=authority.file, dns_ttl="100ms")
    client = await make_client(proxy)
    assert (await client.get(f"{tls_origin.url}/")).body == b"hello"
    names.table["parent.test"] = ["127.0.0.2"]
    async with asyncio.timeout(10):
        while proxy.session.pool.sockets:
            await asyncio.sleep(0.01)

    assert proxy.session.stats.origins[tls_origin.url].closed == {"dns_change": 1}
    assert set(names.lookups) == {"parent.test"}


async def test_an_untrusted_origin_is_refused_through_the_parent_too(
    behind, make_client, parent, tls_origin
):
    """The parent sees bytes alone, and can pose as nobody."""
    client = await make_client(await behind(parent))
    response = await client.get(f"{tls_origin.url}/")

    assert_own_error(response, 502, "tls_certificate_error")
    assert tls_origin.requests == []


async def test_a_protocol_switch_goes_through_a_tunnel(
    behind, make_client, make_parent, make_origin
):
    """Proxies pass no Upgrade on; a client of WebSockets would CONNECT, too."""
    origin = await make_origin(switching())
    origin.release.set()
    parent = await make_parent(credentials=BASIC)
    proxy = await behind(parent, LOGIN)
    client = await make_client(proxy)
    await switched(client, origin)

    assert await echoed(client, b"\x81\x02hi") == b"\x81\x02hi"
    assert [request.method for request in parent.requests] == [b"CONNECT"]
    (request,) = origin.requests
    assert request.target == b"/chat"
    assert request.values(b"proxy-authorization") == []
    client.reset()
    await gone(proxy)


async def test_exempt_hosts_are_tunnelled_to_directly(
    behind, make_client, parent, make_origin
):
    """As with plain requests."""
    origin = await make_origin(echo)
    proxy = await behind(parent, no_parent="*.test", connect_ports=origin.port)
    client = await opened(make_client, proxy, origin)

    assert await echoed(client, b"hello") == b"hello"
    assert_untouched(parent)
    client.reset()
    await gone(proxy)


# Refusals...


@pytest.mark.parametrize(
    ("status", "ours", "error"),
    [
        (400, 502, "http_request_denied"),
        (403, 502, "http_request_denied"),
        (407, 502, "proxy_configuration_error"),
        (302, 502, "http_request_denied"),
        (500, 502, "destination_unavailable"),
        (502, 502, "destination_unavailable"),
        (503, 502, "destination_unavailable"),
        (504, 504, "connection_timeout"),
    ],
)
async def test_the_parents_refusal_is_told_in_our_words(
    asked, make_parent, status, ours, error
):
    """With its status, and never as a 407 that the client could answer."""
    parent = await make_parent(
        answering(
            b"HTTP/1.1 %d No\r\nProxy-Authenticate: Basic realm=x\r\n"
            b"Content-Length: 4\r\n\r\nnope" % status
        )
    )
    proxy, client = await asked(parent, LOGIN)
    response = await refused(client, "a.elsewhere:443", ours, error)

    assert response.body.decode().startswith(
        f"The parent http://parent.test:{parent.port} (parent_proxy)"
        f" answered CONNECT a.elsewhere:443 with {status}"
    )
    assert PASSWORD not in response.body.decode()
    await parent.until(lambda: parent.open == 0)
    assert proxy.session.pool.sockets == 0
    failures = proxy.session.stats.origins["a.elsewhere:443"].connect_failures
    assert failures == {error: 1}


async def test_pooled_tls_hears_of_the_refusal_as_well(
    behind, make_client, make_parent
):
    """A parent that wants another scheme of authentication."""
    parent = await make_parent(
        answering(
            b"HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\n"
            b"Proxy-Authenticate: NTLM\r\n\r\n"
        )
    )
    client = await make_client(await behind(parent, LOGIN))
    response = await client.get("https://a.elsewhere/")

    assert_own_error(response, 502, "proxy_configuration_error")
    assert b"it wants Negotiate, NTLM, and only Basic is spoken here" in response.body


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (b"", "connection_terminated", b"closed the connection instead of"),
        (b"HTTP/1.1 200 Fi", "connection_terminated", b"closed the connection"),
        (
            b"SSH-2.0-x\r\n\r\n",
            "http_protocol_error",
            b"did not answer CONNECT in HTTP",
        ),
        (b"HTTP/2 200\r\n\r\n", "http_protocol_error", b"did not answer CONNECT"),
        (
            b"HTTP/1.1 200 Fine\r\n" + b"X: y\r\n" * 20_000,
            "http_response_header_section_size",
            b"with more than 65536 bytes",
        ),
        (
            b"HTTP/1.1 100 Wait\r\n\r\n" * 4000,
            "http_response_header_section_size",
            b"with more than 65536 bytes",
        ),
    ],
    ids=["nothing", "half", "SSH", "version", "endless", "interim"],
)
async def test_a_parent_that_makes_no_sense_is_an_error_of_its_own(
    asked, make_parent, answer, error, words
):
    """Bounded in bytes, and named."""
    parent = await make_parent(answering(answer, close=True))
    proxy, client = await asked(parent)
    response = await refused(client, "a.elsewhere:443", 502, error)

    assert words in response.body
    assert b"(parent_proxy)" in response.body
    assert proxy.session.pool.sockets == 0


async def test_a_parent_that_resets_is_an_error_of_its_own(asked, make_parent):
    """As its connection says."""

    async def script(connection):
        await connection.head()
        connection.reset()

    parent = await make_parent(script)
    _, client = await asked(parent)
    response = await refused(client, "a.elsewhere:443", 502, "destination_unavailable")

    assert response.body.startswith(b"Asking the parent http://parent.test:")
    assert b"for a tunnel to a.elsewhere:443 failed: " in response.body


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 Fine\r\nX: "])
async def test_a_parent_that_says_nothing_is_504(asked, make_parent, said):
    """connect_timeout is for the way to the origin as a whole."""

    async def script(connection):
        await connection.head()
        await connection.send(said)
        await connection.closed()

    parent = await make_parent(script)
    proxy, client = await asked(parent, connect_timeout="300ms")
    response = await refused(client, "a.elsewhere:443", 504, "connection_timeout")

    assert response.body.startswith(b"Asking the parent http://parent.test:")
    assert b"(connect_timeout)" in response.body
    await parent.until(lambda: parent.open == 0)
    assert proxy.session.pool.sockets == 0


async def test_a_parent_that_is_not_there_is_named_for_tunnels(make_proxy, make_client):
    """As for requests."""
    client = await make_client(await make_proxy(parent_proxy="http://parent.test:9"))
    response = await refused(client, "a.elsewhere:443", 502, "connection_refused")

    assert b"to the parent http://parent.test:9 (parent_proxy) failed" in response.body


# Rules...


@pytest.mark.parametrize(
    ("target", "setting"),
    [
        ("a.elsewhere:22", "deny_ports"),
        ("a.elsewhere:444", "connect_ports"),
        ("169.254.169.254:443", "deny_destinations"),
        ("[::ffff:a9fe:a9fe]:443", "deny_destinations"),
        ("0xa9fea9fe:443", "deny_destinations"),
        ("10.0.0.1:443", "deny_private"),
    ],
)
async def test_rules_hold_for_tunnels_through_the_parent(
    asked, parent, target, setting
):
    """Before the parent hears of it."""
    proxy, client = await asked(parent, connect_ports="22, 443", deny_private="true")
    await client.send(connect_bytes(target))
    response = await client.response("CONNECT")

    assert response.status == 403
    assert setting in response.body.decode()
    assert proxy.session.stats.denied == {setting: 1}
    assert_untouched(parent)


async def test_a_tunnel_that_has_come_through_us_is_a_loop(
    asked, make_client, make_parent
):
    """Where the parent passes Via on, as squid does."""
    parent = await make_parent(answering(ESTABLISHED))
    proxy, client = await asked(parent)
    await client.connect("a.elsewhere:443")
    client.reset()
    await gone(proxy)
    via = parent.requests[0].values(b"via")[0]
    again = await make_client(proxy)
    await again.send(connect_bytes("a.elsewhere:443", b"Via: 1.0 x, " + via))
    response = await again.response("CONNECT")

    assert_own_error(response, 502, "proxy_loop_detected")
    assert parent.accepted == 1


async def test_two_proxies_that_are_each_others_parents_find_the_loop(
    make_proxy, make_client
):
    """The second round is refused: neither dials until its time is over."""
    ports = free_ports(2)
    pair = [
        await make_proxy(
            listen=f"127.0.0.1:{own}", parent_proxy=f"http://parent.test:{other}"
        )
        for own, other in (ports, reversed(ports))
    ]
    client = await make_client(pair[0])
    await client.send(connect_bytes("a.elsewhere:443"))
    async with asyncio.timeout(3):  # connect_timeout is 5 s
        response = await client.response("CONNECT")

    assert response.status == 502
    opened = [sum(o.opened for o in p.session.stats.origins.values()) for p in pair]
    assert sum(opened) <= 4


async def test_tunnels_through_the_parent_are_under_the_cap_on_sockets(
    behind, make_client, make_parent, make_origin
):
    """Whatever they lead to."""
    origin = await make_origin(echo)
    parent = await make_parent()
    proxy = await behind(
        parent, connect_ports=origin.port, max_sockets=2, queue_timeout="300ms"
    )
    kept = [await opened(make_client, proxy, origin) for _ in range(2)]
    third = await make_client(proxy)

    assert await third.connect(f"other.test:{origin.port}") == 503
    assert parent.accepted == 2
    for client in kept:
        client.reset()
    await gone(proxy)


# Leaving nothing behind...


@pytest.mark.parametrize("leave", ["reset", "close"])
async def test_a_client_that_leaves_while_the_parent_is_asked_leaves_nothing(
    asked, make_parent, leave
):
    """The dial goes on and ends by itself; no descriptor or task is left."""

    async def script(connection):
        await connection.head()
        await connection.origin.release.wait()
        await connection.send(b"HTTP/1.1 503 No\r\n\r\n")

    parent = await make_parent(script)
    proxy, client = await asked(parent)
    files, tasks = descriptors(), task_names()
    await client.send(connect_bytes("a.elsewhere:443"))
    await parent.until(lambda: len(parent.requests) == 1)
    client.reset() if leave == "reset" else await client.close()
    parent.release.set()
    await gone(proxy)
    await parent.until(lambda: parent.open == 0)

    assert descriptors() <= files
    assert set(task_names()) <= set(tasks)


async def test_stopping_does_not_wait_for_the_parent(asked, make_parent):
    """What asks it is cancelled, and its socket closed."""

    async def script(connection):
        await connection.head()
        await connection.closed()

    parent = await make_parent(script)
    proxy, client = await asked(parent)
    await client.send(request_bytes("https://a.elsewhere/"))
    await parent.until(lambda: len(parent.requests) == 1)
    async with asyncio.timeout(5):
        await proxy.stop()
        await client.until_closed()
    await parent.until(lambda: parent.open == 0)

    assert proxy.session.pool.sockets == 0
