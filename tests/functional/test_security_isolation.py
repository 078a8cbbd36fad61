"""Requirements S26 to S29: what sharing connections must not mix up.

The randomised run of S26 is in the stress tests.
"""

import base64

import pytest

from tests.support.client import request_bytes
from tests.support.scrape import samples, scrape


async def marked(connection):
    """An origin that answers with what identifies the request."""
    while True:
        request = await connection.request()
        await connection.reply(b"for " + request.target)


# S26: nobody gets another's response...


STRAYS = {
    "response": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray",
    "partial": b"HTTP/1.1 200 OK\r\nContent-Le",
    "bytes": b"stray bytes",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\n",
    "line": b"\r\n",
}
# An empty line right after a response may be ignored (RFC 9112 section 2.2).
TOGETHER = [name for name in STRAYS if name != "line"]


@pytest.mark.parametrize(
    ("when", "stray"),
    [*(("with", name) for name in TOGETHER), *(("after", name) for name in STRAYS)],
)
async def test_s26_what_an_origin_sends_unasked_reaches_nobody(
    proxy, make_origin, make_client, when, stray
):
    """In one packet with a response, or while the connection is idle."""
    extra = STRAYS[stray]

    async def sends_more(connection):
        request = await connection.request()
        body = b"for " + request.target
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        await connection.send(head, body, extra if when == "with" else b"")
        if when == "after":
            await connection.origin.release.wait()
            await connection.send(extra)
        await connection.closed()

    origin = await make_origin(sends_more)
    alice, bob = await make_client(proxy), await make_client(proxy)
    first = await alice.get(f"{origin.url}/alice")
    origin.release.set()
    await origin.until(lambda: origin.open == 0)

    second = await bob.get(f"{origin.url}/bob")

    assert (first.body, second.body) == (b"for /alice", b"for /bob")
    assert origin.accepted == 2
    closed = samples(
        await scrape(proxy.admin_address), "upstream_connections_closed_total"
    )
    assert closed[origin.url, "unsolicited"] >= 1


async def test_s26_a_body_on_a_bodyless_response_reaches_nobody(
    proxy, make_origin, make_client
):
    """Bytes after a 204 are not the start of the next response."""

    async def careless(connection):
        while True:
            request = await connection.request()
            if request.target == b"/alice":
                await connection.send(b"HTTP/1.1 204 No Content\r\n\r\nfor alice only")
            else:
                await connection.reply(b"for bob")

    origin = await make_origin(careless)
    alice, bob = await make_client(proxy), await make_client(proxy)
    first = await alice.get(f"{origin.url}/alice")

    second = await bob.get(f"{origin.url}/bob")

    assert (first.status, first.body) == (204, b"")
    assert second.body == b"for bob"
    assert origin.accepted == 2


async def test_s26_two_clients_by_turns_each_get_their_own(
    proxy, make_origin, make_client
):
    """A hundred requests on one connection."""
    origin = await make_origin(marked)
    alice, bob = await make_client(proxy), await make_client(proxy)
    for number in range(50):
        for client, name in ((alice, "alice"), (bob, "bob")):
            response = await client.get(f"{origin.url}/{name}/{number}")

            assert response.body == f"for /{name}/{number}".encode()
    assert origin.accepted == 1


# S27: an exchange that is cut short...


def stalls_for_alice(point):
    """An origin that keeps Alice waiting at a point until it is released."""

    async def script(connection):
        while True:
            request = await connection.head()
            alices = request.target == b"/alice"
            if alices and point == "body":
                await connection.send(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfor "
                )
                await connection.origin.release.wait()
                await connection.send(b"alice")
                continue
            await connection.body(request)
            if alices and point == "head":
                await connection.origin.release.wait()
            await connection.reply(b"for " + request.target)

    return script


async def leave_at(point, client, origin, proxy):
    """Send Alice's request, wait for the point, and leave."""
    fields = ("Content-Length: 10",) if point == "upload" else ()
    method = "PUT" if point == "upload" else "GET"
    await client.send(request_bytes(f"{origin.url}/alice", *fields, method=method))
    if point == "connect":
        await origin.until(lambda: bool(proxy.session.pool.origins))
    else:
        await origin.until(lambda: bool(origin.requests))
    if point == "body":
        await client.reader.readuntil(b"for ")
    client.reset()


@pytest.mark.parametrize("point", ["connect", "head", "body", "upload"])
async def test_s27_an_aborted_exchange_leaves_nothing_for_the_next(
    make_proxy, make_origin, make_client, names, point
):
    """At whatever point its client leaves, the next one gets its own response."""
    proxy = await make_proxy(drain_timeout=0.2)
    origin = await make_origin(stalls_for_alice(point))
    alice, bob = await make_client(proxy), await make_client(proxy)
    if point == "connect":
        names.hold = origin.release
    await leave_at(point, alice, origin, proxy)
    origin.release.set()

    for number in range(3):
        response = await bob.get(f"{origin.url}/bob/{number}")

        assert response.body == f"for /bob/{number}".encode()
    assert origin.accepted <= 2


async def test_s27_a_response_that_times_out_is_not_the_nexts(
    make_proxy, origin, make_client
):
    """What comes too late comes on a connection that is closed."""
    proxy = await make_proxy(response_timeout=0.1)
    alice, bob = await make_client(proxy), await make_client(proxy)
    late = await alice.get(f"{origin.url}/wait")
    origin.release.set()

    response = await bob.get(f"{origin.url}/")

    assert late.status == 504
    assert response.body == b"hello"
    assert origin.accepted == 2


# S28: no state of ours...


async def test_s28_cookies_are_passed_on_and_not_kept(proxy, make_origin, make_client):
    """What Set-Cookie says is for the client to send, or not."""

    async def baker(connection):
        while True:
            await connection.request()
            await connection.reply(b"", b"Set-Cookie: sid=1; Path=/")

    origin = await make_origin(baker)
    alice, bob = await make_client(proxy), await make_client(proxy)

    for client in (alice, alice, bob):
        response = await client.get(f"{origin.url}/")
        assert response.value("Set-Cookie") == "sid=1; Path=/"

    assert all(not request.values(b"cookie") for request in origin.requests)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_s28_redirects_are_passed_on_and_not_followed(
    make_origin, client, status
):
    """One request in, one request out."""

    async def elsewhere(connection):
        while True:
            await connection.request()
            await connection.reply(b"", b"Location: /other", status=status)

    origin = await make_origin(elsewhere)

    response = await client.get(f"{origin.url}/")

    assert response.status == status
    assert response.value("Location") == "/other"
    assert len(origin.requests) == 1


async def test_s28_credentials_are_neither_found_nor_kept(
    make_proxy, make_origin, make_client, monkeypatch, tmp_path
):
    """Not from netrc, not from an earlier request."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine origin.test login us password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))

    async def guarded(connection):
        while True:
            await connection.request()
            await connection.reply(
                b"", b'WWW-Authenticate: Basic realm="r"', status=401
            )

    origin = await make_origin(guarded)
    client = await make_client(await make_proxy())

    for field in (("Authorization: Basic YTpi",), ()):
        response = await client.get(f"{origin.url}/", *field)
        assert response.status == 401

    sent = [request.values(b"authorization") for request in origin.requests]
    assert sent == [[b"Basic YTpi"], []]


async def test_s28_a_proxy_in_the_environment_is_not_used(
    make_proxy, make_origin, make_client, monkeypatch
):
    """We are the proxy; HTTP_PROXY most likely names us."""
    other = await make_origin()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{other.port}")
    origin = await make_origin()
    client = await make_client(await make_proxy())

    response = await client.get(f"{origin.url}/")

    assert response.body == b"hello"
    assert (origin.accepted, other.accepted) == (1, 0)


# S29: nobody is told of another...


async def test_s29_nothing_of_one_client_is_in_anothers_request(
    proxy, origin, make_client
):
    """Both go over one connection; proxy credentials go nowhere at all."""
    alice, bob = await make_client(proxy), await make_client(proxy)
    secret = base64.b64encode(b"alice:secret").decode()
    await alice.get(
        f"{origin.url}/",
        f"Proxy-Authorization: Basic {secret}",
        f"Authorization: Basic {secret}",
        "User-Agent: alice/1",
        "Cookie: alice=1",
        "X-Alice: alice",
    )
    await bob.get(f"{origin.url}/", "User-Agent: bob/1")

    of_alice, of_bob = origin.requests
    assert origin.accepted == 1
    assert not of_alice.values(b"proxy-authorization")
    assert b"alice" not in of_bob.head.lower()
    assert secret.encode() not in of_bob.head
    for request in origin.requests:
        names = {line.partition(b":")[0].lower() for line in request.lines}
        assert not names & {b"forwarded", b"x-forwarded-for", b"x-real-ip"}
        assert b"127.0.0.1" not in request.head
