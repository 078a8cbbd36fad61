"""Request targets and routing: rows A23 to A36 of the requirements."""

import socket

import pytest

from tests.support.own_errors import (
    assert_own_error,
    assert_refused,
    assert_untouched,
)

PATHS = [
    '/a/../b/./%2e%2e/%7Ef%2Fg;p?x=%20+[]|"&&c=%',
    "//evil//x",
    "/?q",
    "/a?",
    "/?",
    "/%00%0d%0a",
    "/a?b?c=http://d/e@f:80/",
    "/a:b@c/{d}^`e\\f",
    "/%zz",
    "/...",
    "/a%2F..%2Fb",
]


def asked(target, *, method="GET", host="any.test", version="HTTP/1.1"):
    """Spell a request whose target is taken as it is."""
    head = f"{method} {target} {version}\r\nHost: {host}\r\n\r\n"
    return head.encode("latin-1")


async def test_a23_the_received_host_is_replaced_from_the_target(client, origin):
    """The target decides, and one Host line in the Host's place says so."""
    await client.send(asked(f"{origin.url}/", host="other.test:1"))

    assert (await client.response()).status == 200
    assert origin.requests[0].lines[0] == b"Host: " + origin.authority
    assert len(origin.requests[0].values(b"host")) == 1


@pytest.mark.parametrize("path", PATHS)
async def test_a24_path_and_query_are_forwarded_byte_for_byte(client, origin, path):
    """Nothing is decoded, quoted, normalised or collapsed."""
    await client.send(asked(f"{origin.url}{path}", host=f"origin.test:{origin.port}"))

    assert (await client.response()).status == 200
    assert origin.requests[0].target == path.encode()


@pytest.mark.parametrize(
    ("end", "target"),
    [("", b"/"), ("?q", b"/?q"), ("?", b"/?"), ("?a/b", b"/?a/b")],
)
async def test_a25_an_empty_path_becomes_a_slash(client, origin, end, target):
    """Only the path is completed; the query stays."""
    await client.send(asked(f"{origin.url}{end}"))

    assert (await client.response()).status == 200
    assert origin.requests[0].target == target


@pytest.mark.parametrize(
    ("end", "target"),
    [("", b"*"), ("/", b"/"), ("?q", b"/?q"), ("/*", b"/*")],
)
async def test_a26_options_without_path_and_query_asks_for_the_asterisk(
    client, origin, end, target
):
    """RFC 9112 section 3.2.4: the last proxy turns it into asterisk-form."""
    await client.send(asked(f"{origin.url}{end}", method="OPTIONS"))

    assert (await client.response()).status == 200
    assert origin.requests[0].target == target
    assert origin.requests[0].values(b"host") == [origin.authority]


@pytest.mark.parametrize("end", ["/#f", "#f", "/a?b#f", "/a#", "/#/../x"])
async def test_a27_a_fragment_is_refused(client, origin, end):
    """It is no part of a request target, and is never sent."""
    await assert_refused(client, asked(f"{origin.url}{end}"))
    assert_untouched(origin)


@pytest.mark.parametrize("user", ["u", "u:p", ":", "", "a.test:80", "u%40", "a@b"])
async def test_a28_a_user_name_in_the_target_is_refused(client, origin, user):
    """It hides the real host from people, and would become a credential."""
    target = f"http://{user}@{origin.name}:{origin.port}/"

    await assert_refused(client, asked(target))
    assert_untouched(origin)


@pytest.mark.parametrize(
    "target",
    [
        *("http:///p", "http://:80/", "http://?q", "http://", "http:/p", "http:p"),
        *("http://h.test:0/", "http://h.test:65536/", "http://h.test:80abc/"),
        *("http://h.test:-1/", "http://h.test:+80/", "http://h.test:8:0/"),
        *("http://h.test:00000080/", "http://h .test/", "http://%68.test/"),
        *("http://[::1/", "http://[x]/", "http://::1/", "http://[::1]x/"),
        *("http://h.test\\@x/", "http://h.test\\/", "http://h\x80.test/", "h.test"),
        *("http://./", "http://[::1%25lo]/", "//h.test", "h.test:80/", "?q", "**"),
    ],
)
async def test_a29_a_malformed_authority_is_refused(client, names, target):
    """No host, no such port, or a spelling that others read differently."""
    await client.send(asked(target))
    response = await client.response()

    assert_own_error(response, 400)
    assert names.lookups == []


async def test_a29_an_empty_port_is_the_default_port(client, names):
    """`http://host:/` is allowed by RFC 3986 and means port 80."""
    names.table["h.test"] = ["169.254.0.1"]
    response = await client.get("http://h.test:/")

    assert_own_error(response, 403, "destination_ip_prohibited")


@pytest.mark.parametrize("scheme", ["https", "wss", "HTTPS"])
async def test_a30_an_https_target_is_never_sent_in_the_clear(
    client, make_origin, scheme
):
    """The client believes in TLS; an origin that speaks none gets no request."""
    received = []

    async def plain(connection):
        received.append(await connection.reader.read(65536))
        await connection.reply(b"This is not TLS.", status=400)

    origin = await make_origin(plain)
    await client.send(asked(f"{scheme}://{origin.name}:{origin.port}/secret"))
    response = await client.response()

    assert_own_error(response, 502, "tls_protocol_error")
    assert b"does not speak TLS on this port" in response.body
    assert b"secret" not in b"".join(received)


@pytest.mark.parametrize("scheme", ["ws", "HTTP", "Ws", "http"])
async def test_a31_ws_and_any_spelling_of_http_are_http(client, origin, scheme):
    """The client of aiohttp sends `GET ws://host/` to a proxy."""
    await client.send(asked(f"{scheme}://{origin.name}:{origin.port}/a"))

    assert (await client.response()).status == 200
    assert origin.requests[0].target == b"/a"


@pytest.mark.parametrize("scheme", ["ftp", "file", "gopher", "tunnel", "x", "socks"])
async def test_a31_other_schemes_are_refused(client, origin, scheme):
    """501, with the scheme named."""
    target = f"{scheme}://{origin.name}:{origin.port}/"

    response = await assert_refused(client, asked(target), 501)

    assert f"'{scheme}'".encode() in response.body
    assert_untouched(origin)


async def test_a32_host_keeps_the_clients_spelling_and_the_pool_does_not_care(
    client, origin
):
    """Spellings of one name share connections, and the origin sees each."""
    hosts = [f"{name}:{origin.port}" for name in ("Origin.TEST", "origin.test.")]
    for host in (*hosts, f"origin.test:{origin.port}"):
        assert (await client.get(f"http://{host}/")).status == 200

    seen = [request.values(b"host")[0].decode() for request in origin.requests]

    assert seen == [*hosts, f"origin.test:{origin.port}"]
    assert origin.accepted == 1


@pytest.mark.parametrize(
    "alias",
    [
        *("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::]"),
        "0.0.0.0",  # noqa: S104 - where nobody binds
        *("anything.test", "127.0.0.2", "[::ffff:127.0.0.1]", "[::1]"),
    ],
)
@pytest.mark.parametrize("admin", [False, True])
async def test_a33_a_request_to_one_of_our_own_listeners_is_not_forwarded(
    client, proxy, names, alias, admin
):
    """Whatever name or number stands for this machine."""
    for number in ("127.1", "2130706433", "0x7f.1"):
        names.table[number] = ["127.0.0.1"]  # as getaddrinfo reads them
    port = (proxy.admin_address if admin else proxy.listening[0]).port
    response = await client.get(f"http://{alias}:{port}/metrics")

    assert_own_error(response, 403, "proxy_loop_detected")


async def test_a33_the_name_of_this_machine_is_not_forwarded_to_either(
    client, proxy, names
):
    """Its own interface addresses are known to be its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        names.table["this.test"] = [probe.getsockname()[0]]
    response = await client.get(f"http://this.test:{proxy.listening[0].port}/")

    assert_own_error(response, 403, "proxy_loop_detected")


async def test_a33_a_loop_through_two_proxies_ends(make_proxy, make_client):
    """A sends to B, which sees a request for itself, and forwards nothing."""
    first, second = await make_proxy(), await make_proxy()
    client = await make_client(first)
    url = f"http://b.test:{second.listening[0].port}/x"
    response = await client.get(url, f"X-Host: a.test:{first.listening[0].port}")

    assert_own_error(response, 400)
    assert response.values("Via")[0].startswith("1.1 reuse-proxy")


async def test_a33_a_request_that_has_been_here_before_is_refused(client, origin):
    """The origin, or whatever it really is, sends our own Via back to us."""
    await client.get(f"{origin.url}/")
    via = origin.requests[0].values(b"via")[0].decode()
    response = await client.get(f"{origin.url}/", f"Via: 1.0 first, {via}, 1.1 last")

    assert_own_error(response, 502, "proxy_loop_detected")
    assert len(origin.requests) == 1


async def test_a33_another_instance_in_the_way_is_no_loop(client, origin):
    """Two proxies of the same kind in a row are a deployment, not a loop."""
    response = await client.get(f"{origin.url}/", "Via: 1.1 reuse-proxy (0badcafe)")

    assert response.status == 200
    assert origin.requests[0].values(b"via")[0] == b"1.1 reuse-proxy (0badcafe)"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/metrics", "/latest/meta-data/", "//o.test/"])
async def test_a34_origin_form_is_never_forwarded_by_host(client, origin, method, path):
    """A browser led to our port must not reach others through us."""
    host = f"{origin.name}:{origin.port}"
    await client.send(asked(path, method=method, host=host))
    response = await client.response(method)

    assert response.status == 400
    assert response.value("Content-Type") == "text/plain; charset=utf-8"
    assert_untouched(origin)


@pytest.mark.parametrize(
    "target",
    [
        *("h", "h:", "h:0", "h:99999", "u@h:443", "/x", "e%78.com:443", ":443", "*"),
        *("h:443/", "http://h:443", "h:4a3", "h:+443", "[::1:443", "h h:443"),
    ],
)
async def test_a35_connect_with_an_invalid_authority_is_refused(client, names, target):
    """A tunnel's target is host:port, and both are needed."""
    await assert_refused(client, asked(target, method="CONNECT"), method="CONNECT")
    assert names.lookups == []


async def test_a82_connect_to_an_unlisted_port_is_403_and_names_the_setting(
    client, origin
):
    """The connection ends, and nothing is opened."""
    target = origin.authority.decode()

    response = await assert_refused(
        client,
        asked(target, method="CONNECT"),
        403,
        error="http_request_denied",
        method="CONNECT",
    )

    assert b"(connect_ports = 443, 8443)" in response.body
    assert_untouched(origin)


async def test_a36_options_for_the_proxy_itself_is_answered_by_it(client):
    """`OPTIONS *` is a ping; the connection lives on."""
    for _ in range(2):
        await client.send(asked("*", method="OPTIONS"))
        response = await client.response("OPTIONS")

        assert response.status == 204
        assert response.body == b""
        assert response.value("Content-Length") is None
