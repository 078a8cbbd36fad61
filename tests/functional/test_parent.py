"""A parent proxy: what is asked of it, on which connections, and who passes it by."""

import asyncio

import pytest

from tests.functional.test_security_private import authenticating
from tests.support.books import settled
from tests.support.client import request_bytes
from tests.support.machine import own_address
from tests.support.own_errors import assert_own_error, assert_untouched
from tests.support.parent import (
    BASIC,
    LOGIN,
    answering,
)
from tests.support.scrape import admin_json, samples, scrape


async def test_all_origins_share_the_connection_to_the_parent(
    behind, make_client, parent, names
):
    """Thirty clients, three hosts: one connection, and one name is looked up by us."""
    proxy = await behind(parent)
    for number in range(30):
        client = await make_client(proxy)
        url = f"http://host{number % 3}.elsewhere/path?{number}"
        response = await client.get(url)
        await client.close()

        assert response.body == url.encode()
    assert parent.accepted == 1
    assert set(names.lookups) == {"parent.test"}


async def test_the_parent_is_asked_with_the_whole_url(behind, make_client, parent):
    """RFC 9112 section 3.2.2: Host as in the URL, both as the client spelled them."""
    client = await make_client(await behind(parent))
    await client.get("http://Host.Elsewhere:80/a%2fb?c=d", "X-A: 1", "Via: 1.1 x")

    (request,) = parent.requests
    assert request.line == b"GET http://Host.Elsewhere:80/a%2fb?c=d HTTP/1.1"
    assert request.values(b"host") == [b"Host.Elsewhere:80"]
    assert request.values(b"x-a") == [b"1"]
    assert request.values(b"via")[0] == b"1.1 x"
    assert request.values(b"via")[1].startswith(b"1.1 reuse-proxy (")
    assert request.values(b"proxy-authorization") == []


@pytest.mark.parametrize(
    ("method", "target", "asked"),
    [
        ("OPTIONS", "http://a.elsewhere", b"http://a.elsewhere"),
        ("OPTIONS", "http://a.elsewhere/", b"http://a.elsewhere/"),
        ("GET", "http://a.elsewhere", b"http://a.elsewhere/"),
        ("GET", "http://a.elsewhere?q", b"http://a.elsewhere/?q"),
        ("GET", "ws://a.elsewhere/chat", b"http://a.elsewhere/chat"),
        ("GET", "http://[2001:DB8::1]:81/", b"http://[2001:DB8::1]:81/"),
    ],
)
async def test_targets_are_those_of_a_request_to_a_proxy(
    behind, make_client, parent, method, target, asked
):
    """Section 3.2.4: only the last proxy makes an asterisk of no path."""
    client = await make_client(await behind(parent))
    await client.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await client.response(method)

    assert parent.requests[0].target == asked


async def test_uploads_pass(behind, make_client, parent):
    """With a length and in chunks."""
    client = await make_client(await behind(parent))
    head = "POST http://a.elsewhere/ HTTP/1.1\r\nHost: a\r\n"
    await client.send(f"{head}Content-Length: 3\r\n\r\nabc".encode())
    await client.response("POST")
    await client.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    await client.send(b"3\r\nabc\r\n0\r\n\r\n")
    await client.response("POST")

    assert [request.body for request in parent.requests] == [b"abc", b"abc"]


async def test_our_credentials_are_sent_and_never_the_clients(
    behind, make_client, make_parent
):
    """A client's name us to it, and say who it is."""
    parent = await make_parent(credentials=BASIC)
    proxy = await behind(parent, LOGIN)
    client = await make_client(proxy)
    response = await client.get(
        "http://a.elsewhere/", "Proxy-Authorization: Basic Y2xpZW50Og=="
    )

    assert response.status == 200
    assert parent.requests[0].values(b"proxy-authorization") == [BASIC]
    assert [account.name for account in proxy.ledger.accounts()] == ["client"]


async def test_the_pool_of_the_parent_is_under_the_cap_of_an_origin(
    behind, make_client, parent
):
    """Twelve requests at once to twelve origins, on two connections."""
    proxy = await behind(parent, max_per_origin=2)
    clients = [await make_client(proxy) for _ in range(12)]
    for number, client in enumerate(clients):
        await client.send(request_bytes(f"http://h{number}.elsewhere/wait"))
    await parent.until(lambda: len(parent.requests) == 2)
    states = proxy.session.states()
    parent.release.set()
    bodies = [(await client.response()).body for client in clients]

    label = f"parent://parent.test:{parent.port}"
    assert states[label, "active"] == 2
    assert bodies == [b"http://h%d.elsewhere/wait" % n for n in range(12)]
    assert parent.accepted == 2


async def test_the_parent_as_an_origin_is_another_pool(behind, make_client, parent):
    """What is asked of it directly does not travel on a connection to the proxy."""
    proxy = await behind(parent, no_parent="parent.test")
    client = await make_client(proxy)
    first = await client.get("http://a.elsewhere/")
    second = await client.get(f"http://parent.test:{parent.port}/own")

    assert first.body == b"http://a.elsewhere/"
    assert second.body == b"/own"
    assert parent.accepted == 2


async def test_a_request_is_sent_again_where_the_parent_has_closed(
    behind, make_client, make_parent
):
    """The rules of retries are those for origins."""

    async def script(connection):
        request = await connection.request()
        await connection.reply(request.target)
        await connection.request()

    parent = await make_parent(script)
    client = await make_client(await behind(parent))
    for _ in range(4):
        assert (await client.get("http://a.elsewhere/")).status == 200

    assert parent.accepted == 4


# Who passes it by...


@pytest.mark.parametrize(
    ("no_parent", "name"),
    [
        ("origin.test", "origin.test"),
        ("*.test", "origin.test"),
        ("a.test, origin.test", "ORIGIN.test"),
        ("*", "origin.test"),
        ("none", "127.0.0.1"),
        ("none", "127.0.0.2"),
        ("none", "localhost"),
        ("none", "a.LOCALHOST"),
        ("none", "[::ffff:127.0.0.1]"),
        ("none", "0.0.0.0"),  # noqa: S104 - nothing is bound
    ],
)
async def test_exempt_hosts_and_loopback_are_reached_directly(
    behind, make_client, make_origin, parent, no_parent, name
):
    """The parent's loopback is not ours, whatever is listed."""
    origin = await make_origin(host="0.0.0.0")  # noqa: S104 - 127.0.0.2 is another
    client = await make_client(await behind(parent, no_parent=no_parent))
    response = await client.get(f"http://{name}:{origin.port}/")

    assert response.body == b"hello"
    assert_untouched(parent)


async def test_exempt_networks_are_for_addresses_alone(
    behind, make_client, make_origin, parent
):
    """A name is not looked up to find out."""
    host = own_address()
    origin = await make_origin(host=host)
    proxy = await behind(parent, no_parent=f"{host}/32, fd00::/8")
    client = await make_client(proxy)
    literal = await client.get(f"http://{host}:{origin.port}/")
    named = await client.get(f"http://name.elsewhere:{origin.port}/")

    assert literal.body == b"hello"
    assert named.body.startswith(b"http://name.elsewhere")


async def test_a_port_of_a_host_alone_can_be_exempt(
    behind, make_client, parent, origin
):
    """As in every list of hosts."""
    proxy = await behind(parent, no_parent=f"origin.test:{origin.port}")
    client = await make_client(proxy)

    assert (await client.get(f"{origin.url}/")).body == b"hello"
    assert (await client.get("http://origin.test/")).body == b"http://origin.test/"


# Where it may not lead...


@pytest.mark.parametrize(
    ("url", "setting"),
    [
        ("http://a.elsewhere:22/", "deny_ports"),
        ("http://8.8.8.8:6379/", "deny_ports"),
        ("http://169.254.169.254/", "deny_destinations"),
        ("http://[::ffff:169.254.169.254]/", "deny_destinations"),
        ("http://[64:ff9b::a9fe:a9fe]/", "deny_destinations"),
        ("http://[FE80::1]/", "deny_destinations"),
        ("http://0xa9fea9fe/", "deny_destinations"),
        ("http://2852039166/", "deny_destinations"),
        ("http://0251.0376.0251.0376/", "deny_destinations"),
        ("http://169.254.43518/", "deny_destinations"),
        ("http://10.0.0.1./", "deny_private"),
        ("http://[fd12::1]/", "deny_private"),
        ("https://10.0.0.1/", "deny_private"),
    ],
)
async def test_rules_hold_for_what_is_asked_of_the_parent(
    behind, make_client, parent, url, setting
):
    """Ports, and addresses that are given as such, in whatever spelling."""
    proxy = await behind(parent, deny_private="true")
    client = await make_client(proxy)
    response = await client.get(url)

    assert response.status == 403
    assert setting in response.body.decode()
    assert proxy.session.stats.denied == {setting: 1}
    assert_untouched(parent)


async def test_the_parent_itself_is_exempt_from_the_rules(behind, make_client, parent):
    """Its address is loopback here, and its port is denied: who set it meant it."""
    proxy = await behind(parent, deny_private="true", deny_ports=parent.port)
    client = await make_client(proxy)
    response = await client.get("http://a.elsewhere/")

    assert response.body == b"http://a.elsewhere/"


async def test_names_are_the_parents_to_look_up(behind, make_client, parent, names):
    """Where we would find a denied address, it may find another one."""
    names.table["inside.test"] = ["169.254.169.254"]
    client = await make_client(await behind(parent))

    assert (await client.get("http://inside.test/")).status == 200
    assert "inside.test" not in names.lookups


async def test_we_cannot_be_our_own_parent(make_proxy, make_client, unused_tcp_port):
    """The dial is refused, whatever the spelling of our address."""
    proxy = await make_proxy(
        listen=f"127.0.0.1:{unused_tcp_port}",
        parent_proxy=f"http://anything.test:{unused_tcp_port}",
    )
    client = await make_client(proxy)
    response = await client.get("http://a.elsewhere/")

    assert_own_error(response, 403, "proxy_loop_detected")
    assert b"(parent_proxy)" in response.body
    assert proxy.session.stats.denied == {"self": 1}


async def test_a_loop_through_the_parent_ends_with_its_second_turn(
    make_proxy, make_client, unused_tcp_port_factory
):
    """Two proxies that are each other's parents: Via tells."""
    one, other = unused_tcp_port_factory(), unused_tcp_port_factory()
    proxy = await make_proxy(
        listen=f"127.0.0.1:{one}", parent_proxy=f"http://x.test:{other}"
    )
    await make_proxy(listen=f"127.0.0.1:{other}", parent_proxy=f"http://x.test:{one}")
    client = await make_client(proxy)
    response = await client.get("http://a.elsewhere/")

    assert_own_error(response, 502, "proxy_loop_detected")


async def test_one_of_us_can_be_the_parent_of_another(make_proxy, make_client, origin):
    """Twenty clients: one connection between us, and one to the origin."""
    outer = await make_proxy()
    inner = await make_proxy(parent_proxy=outer.url.replace("127.0.0.1", "p.test"))
    for _ in range(20):
        client = await make_client(inner)
        assert (await client.get(f"{origin.url}/")).body == b"hello"
        await client.close()

    assert origin.accepted == 1
    assert sum(a.connections for a in outer.ledger.accounts()) == 1


# Credentials that do not do...


@pytest.mark.parametrize(
    ("login", "challenges", "why"),
    [
        ("", [b"Basic realm=x"], "it wants credentials, and parent_proxy has none"),
        ("u:p", [b"Basic realm=x"], "it does not take the credentials in parent_proxy"),
        (
            "u:p",
            [b"NTLM", b"basic"],
            "it does not take the credentials in parent_proxy",
        ),
        ("u:p", [], "it does not take the credentials in parent_proxy"),
        ("u:p", [b"Negotiate, NTLM"], "it wants Negotiate, NTLM, and only Basic is"),
        ("", [b'Digest realm="a, Basic", qop="auth"'], "it wants Digest, and only"),
    ],
)
async def test_407_of_the_parent_is_502_to_the_client(
    behind, make_client, make_parent, login, challenges, why
):
    """The client has nothing that it could give; the connection stays in use."""
    fields = [b"Proxy-Authenticate: " + challenge for challenge in challenges]

    async def script(connection):
        while True:
            await connection.request()
            await connection.reply(b"x" * 300_000, *fields, status=407)

    parent = await make_parent(script)
    proxy = await behind(parent, login)
    for _ in range(3):
        client = await make_client(proxy)
        response = await client.get("http://a.elsewhere/")
        await settled(proxy)

        assert_own_error(response, 502, "proxy_configuration_error")
        where = f"The parent http://parent.test:{parent.port} (parent_proxy) answered"
        assert response.body.decode().startswith(f"{where} a request with 407: {why}")
        assert response.value("Proxy-Authenticate") is None
    assert parent.accepted == 1
    label = f"parent://parent.test:{parent.port}"
    assert proxy.session.stats.origins[label].requests == {
        (5, "new"): 1,
        (5, "reused"): 2,
    }


async def test_407_in_one_piece_is_502_as_well(behind, make_client, make_parent):
    """An answer that needs no task; the connection is released at once."""
    parent = await make_parent(
        answering(b"HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno")
    )
    client = await make_client(await behind(parent))
    for _ in range(3):
        assert (await client.get("http://a.elsewhere/")).status == 502

    assert parent.accepted == 1


async def test_trace_would_show_our_credentials(behind, make_client, make_parent):
    """The last recipient sends back what it was sent."""
    parent = await make_parent(credentials=BASIC)
    client = await make_client(await behind(parent, LOGIN))
    response = await client.get("http://a.test/", "Max-Forwards: 1", method="TRACE")

    assert response.status == 405
    assert b"(parent_proxy)" in response.body
    assert_untouched(parent)


async def test_trace_passes_where_there_is_nothing_to_show(behind, make_client, parent):
    """A parent without credentials is asked like an origin."""
    client = await make_client(await behind(parent))
    response = await client.get("http://a.test/", "Max-Forwards: 1", method="TRACE")

    assert response.status == 200
    assert parent.requests[0].values(b"max-forwards") == [b"0"]


async def test_what_a_client_proved_through_the_parent_serves_no_other(
    behind, make_client, make_parent
):
    """S30: NTLM on a connection that all origins share."""
    parent = await make_parent(authenticating)
    proxy = await behind(parent)
    alice, bob = await make_client(proxy), await make_client(proxy)
    refused = await alice.get("http://a.elsewhere/")
    known = await alice.get("http://a.elsewhere/", "Authorization: NTLM alice")
    again = await alice.get("http://a.elsewhere/")
    other = await bob.get("http://a.elsewhere/")
    elsewhere = await bob.get("http://b.elsewhere/")

    assert refused.status == other.status == elsewhere.status == 401
    assert known.body == again.body == b"NTLM alice"
    assert parent.accepted == 2
    await alice.close()
    carol = await make_client(proxy)
    assert (await carol.get("http://a.elsewhere/")).status == 401


# When it fails...


async def test_a_parent_that_is_not_there_is_named(make_proxy, make_client):
    """502, of the kind that says so."""
    proxy = await make_proxy(parent_proxy="http://u:p@parent.test:9")
    client = await make_client(proxy)
    response = await client.get("http://a.elsewhere/")

    assert_own_error(response, 502, "connection_refused")
    assert response.body.startswith(
        b"Connecting to the parent http://parent.test:9 (parent_proxy) failed: "
    )


async def test_a_parent_whose_name_is_unknown_is_named(make_proxy, make_client):
    """It is our own resolver that is asked for it."""
    client = await make_client(await make_proxy(parent_proxy="http://nowhere:3128"))
    response = await client.get("http://a.elsewhere/")

    assert_own_error(response, 502, "dns_error")
    assert b"The name nowhere could not be resolved" in response.body


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "connection_terminated"),
        (b"HTTP/1.1 200 Fine\r\nContent-", "http_response_incomplete"),
        (b"SSH-2.0-x\r\n\r\n", "http_protocol_error"),
    ],
)
async def test_a_parent_that_answers_badly_is_named(
    behind, make_client, make_parent, answer, error
):
    """Perhaps it is to blame, and not the origin."""
    parent = await make_parent(answering(answer, close=True))
    client = await make_client(await behind(parent))
    response = await client.get("http://a.elsewhere/")

    assert_own_error(response, 502, error)
    assert response.body.endswith(
        b"It was asked through the parent http://parent.test:%d (parent_proxy).\n"
        % parent.port
    )


async def test_what_the_parent_says_of_an_origin_passes(
    behind, make_client, make_parent
):
    """Its 503 for a host that is down is an answer to the client."""
    parent = await make_parent(
        answering(b"HTTP/1.1 503 Down\r\nContent-Length: 4\r\n\r\ndown")
    )
    client = await make_client(await behind(parent))
    response = await client.get("http://a.elsewhere/")

    assert (response.status, response.body) == (503, b"down")
    assert response.value("Proxy-Status") is None


# What is told of it...


async def test_numbers_are_those_of_the_sockets_there_are(behind, make_client, parent):
    """Pools, metrics and report know the parent by its own label, and agree with it."""
    proxy = await behind(parent)
    for number in range(10):
        client = await make_client(proxy)
        await client.get(f"http://h{number}.elsewhere/")
        await client.close()
    view = await admin_json(proxy.admin_address, "/api/v1/pools")
    text = await scrape(proxy.admin_address)
    report = await admin_json(proxy.admin_address, "/api/v1/report")

    label = f"parent://parent.test:{parent.port}"
    (pool,) = view["origins"]
    assert pool["origin"] == label
    assert pool["parent"] == f"http://parent.test:{parent.port}"
    assert samples(text, "upstream_connections_opened_total") == {(label,): 1}
    assert samples(text, "requests_total")["2xx", label, "reused"] == 9
    (entry,) = report["origins"]
    assert (entry["origin"], entry["opened"], entry["reused"]) == (label, 1, 9)
    assert entry["estimated_connections_saved"] == 9
    assert parent.accepted == 1


async def test_a_line_of_the_log_has_what_was_asked_for(
    behind, make_client, parent, access_log
):
    """And not of whom, which is the same for all."""
    proxy = await behind(
        parent, LOGIN, log=access_log, access_log="json", access_log_paths="true"
    )
    client = await make_client(proxy)
    await client.get("http://a.elsewhere/x?y")
    await client.get("http://B.elsewhere:81", method="OPTIONS")
    await client.get("http://c.elsewhere:22/")
    await client.connect("d.elsewhere:444")
    entries = await access_log.all_entries(proxy)

    assert [(entry["origin"], entry["path"], entry["via"]) for entry in entries] == [
        ("http://a.elsewhere:80", "/x?y", "new"),
        ("http://b.elsewhere:81", "*", "reused"),
        ("http://c.elsewhere:22", "/", "none"),
        ("d.elsewhere:444", None, "none"),
    ]


async def test_a_parent_that_moves_is_followed(behind, make_client, make_parent, names):
    """Idle connections to an address that its name no longer has are closed."""
    parent = await make_parent()
    proxy = await behind(parent, dns_ttl="100ms")
    client = await make_client(proxy)
    await client.get("http://a.elsewhere/")
    names.table["parent.test"] = ["127.0.0.2"]
    async with asyncio.timeout(10):
        while proxy.session.pool.sockets:
            await asyncio.sleep(0.01)

    label = f"parent://parent.test:{parent.port}"
    assert proxy.session.stats.origins[label].closed == {"dns_change": 1}


async def test_without_a_parent_nothing_changes(make_proxy, make_client, origin):
    """no_parent alone leads nowhere else."""
    client = await make_client(await make_proxy(no_parent="other.test"))

    assert (await client.get(f"{origin.url}/")).body == b"hello"
    assert origin.requests[0].target == b"/"
