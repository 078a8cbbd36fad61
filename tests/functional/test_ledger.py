"""The ledger over real sockets: who came, how it went, and what the truth is."""

import asyncio
import base64
import os

import pytest

from reuse_proxy.report.document import VERDICTS
from tests.support.client import request_bytes
from tests.support.scrape import admin_json, kernel_connections, samples, scrape
from tests.support.tunnels import connect_bytes

GO = "User-Agent: Go-http-client/1.1"
MIB = 1024 * 1024


def accounts(proxy):
    """Accounts by name."""
    return {account.name: account for account in proxy.ledger.accounts()}


async def gone(proxy):
    """Wait until every client has left."""
    async with asyncio.timeout(5):
        while proxy.server.connections:
            await asyncio.sleep(0.005)


def named(user):
    """The field that a client makes of a user name in its proxy URL."""
    token = base64.b64encode(f"{user}:".encode()).decode()
    return f"Proxy-Authorization: Basic {token}"


async def test_a_client_is_known_by_the_user_name_in_its_proxy_url(
    proxy, origin, make_client
):
    """Whatever it runs; the name goes no further than to us."""
    for agent in (GO, "User-Agent: curl/8"):
        client = await make_client(proxy)
        await client.get(f"{origin.url}/x", named("billing-cron"), agent)

    assert list(accounts(proxy)) == ["billing-cron"]
    assert accounts(proxy)["billing-cron"].connections == 2
    assert all(not r.values(b"proxy-authorization") for r in origin.requests)


async def test_a_client_without_a_name_is_its_address_and_product(
    proxy, origin, make_client
):
    """One account for each product; without a User-Agent it is just a client."""
    for fields in ((GO,), ("User-Agent: curl/8.1",), ("User-Agent: curl/7.9",), ()):
        client = await make_client(proxy)
        await client.get(f"{origin.url}/x", *fields)

    found = {name: account.connections for name, account in accounts(proxy).items()}
    assert found == {
        "Go-http-client at 127.0.0.1": 1,
        "curl at 127.0.0.1": 2,
        "client at 127.0.0.1": 1,
    }


async def test_a_client_on_a_unix_socket_is_its_user_and_process(
    make_proxy, origin, make_client, tmp_path
):
    """As the kernel says (SO_PEERCRED)."""
    proxy = await make_proxy(listen=f"unix:{tmp_path}/s", client_processes="true")
    client = await make_client(proxy)

    await client.get(f"{origin.url}/x", GO)

    name = f"Go-http-client of uid {os.getuid()}"
    assert list(accounts(proxy)) == [name]
    async with asyncio.timeout(5):
        while not accounts(proxy)[name].processes:
            await asyncio.sleep(0.005)
    assert list(accounts(proxy)[name].processes.values()) == [os.getpid()]


async def test_a_loopback_client_is_found_to_be_a_process(
    make_proxy, origin, make_client
):
    """This one."""
    proxy = await make_proxy(client_processes="true")
    client = await make_client(proxy)

    await client.get(f"{origin.url}/x", GO)

    account = accounts(proxy)["Go-http-client at 127.0.0.1"]
    async with asyncio.timeout(5):
        while not account.processes:
            await asyncio.sleep(0.005)
    assert list(account.processes.values()) == [os.getpid()]


async def test_requests_that_share_a_connection_under_two_names_are_told_apart(
    proxy, origin, client
):
    """As from another proxy in front; the connection stays with the first."""
    for name in ("a", "b", "b", "a"):
        await client.get(f"{origin.url}/x", named(name))

    found = accounts(proxy)
    assert {n: (a.requests, a.connections) for n, a in found.items()} == {
        "a": (2, 1),
        "b": (2, 0),
    }


async def test_what_pooling_saved_is_one_connection_for_each_pair(
    proxy, make_origin, make_client
):
    """Three client connections to two origins each; four of six were reused sockets."""
    origins = [await make_origin(), await make_origin()]

    for _ in range(3):
        client = await make_client(proxy)
        for origin in (*origins, *origins):
            await client.get(f"{origin.url}/x")

    assert [origin.accepted for origin in origins] == [1, 1]
    [account] = accounts(proxy).values()
    assert account.saved == 4
    assert account.saved_seconds > 0
    assert (account.upstream_opened, account.upstream_reused) == (2, 10)
    assert account.misses == {"first": 2}
    stats = proxy.session.stats.origins.values()
    assert [origin.saved for origin in stats] == [2, 2]


@pytest.mark.parametrize(("path", "phase"), [("wait", "head"), ("hold", "body")])
async def test_a_client_that_leaves_is_counted_by_the_phase_it_left_in(
    proxy, origin, make_client, path, phase
):
    """Before the response began, or in the middle of it."""
    client = await make_client(proxy)
    await client.send(request_bytes(f"{origin.url}/{path}"))
    await origin.until(lambda: len(origin.requests) == 1)
    if phase == "body":
        await client.reader.readuntil(b"ab")

    client.reset()
    await gone(proxy)

    [account] = accounts(proxy).values()
    assert account.aborts == {phase: 1}
    assert (account.unread, account.stalls) == (0, 0)
    assert (account.requests, account.needless) == (1, 0)
    origin.release.set()


async def test_a_client_that_leaves_the_queue_is_counted(
    make_proxy, origin, make_client
):
    """One connection for two clients: the second waits, and goes."""
    proxy = await make_proxy(max_per_origin=1)
    first, second = await make_client(proxy), await make_client(proxy)
    await first.send(request_bytes(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == 1)
    await second.send(request_bytes(f"{origin.url}/x", named("second")))
    async with asyncio.timeout(5):
        while not any(p.waiters for p in proxy.session.pool.origins.values()):
            await asyncio.sleep(0.005)

    second.reset()
    async with asyncio.timeout(5):
        while len(proxy.server.connections) > 1:
            await asyncio.sleep(0.005)

    assert accounts(proxy)["second"].aborts == {"queue": 1}
    assert accounts(proxy)["second"].upstream_opened == 0
    origin.release.set()


async def test_a_response_that_is_closed_unread_is_counted(proxy, origin, make_client):
    """It had been sent in full: the exchange was done, and the client never looked."""
    client = await make_client(proxy)
    client.writer.transport.pause_reading()
    await client.send(request_bytes(f"{origin.url}/bytes/{MIB}"))
    async with asyncio.timeout(5):
        while not (accounts(proxy) and next(iter(accounts(proxy).values())).requests):
            await asyncio.sleep(0.005)

    client.reset()
    await gone(proxy)

    [account] = accounts(proxy).values()
    assert account.unread == 1
    assert sum(account.aborts.values()) == 0


async def test_a_client_that_reads_and_closes_has_left_nothing(
    proxy, origin, make_client
):
    """No abort, nothing unread: what every good client does."""
    for _ in range(3):
        client = await make_client(proxy)
        await client.get(f"{origin.url}/bytes/{MIB}")
        client.writer.close()
    await gone(proxy)

    [account] = accounts(proxy).values()
    assert (account.unread, account.stalls, account.needless) == (0, 0, 2)
    assert sum(account.aborts.values()) == 0
    assert account.sent > 3 * MIB
    assert account.received > 100


async def test_a_client_that_stalls_is_counted_and_has_not_left(
    make_proxy, origin, make_client
):
    """We reset it: that is no abort of its own."""
    proxy = await make_proxy(client_stall_timeout="100ms", spool_per_response="1KiB")
    client = await make_client(proxy)
    client.writer.transport.pause_reading()
    await client.send(request_bytes(f"{origin.url}/bytes/{16 * MIB}"))
    await gone_later(proxy)

    [account] = accounts(proxy).values()
    assert account.stalls == proxy.stall_watch.stalls == 1
    assert sum(account.aborts.values()) == account.unread == account.needless == 0


async def gone_later(proxy):
    """Wait until a client has come and every one has left."""
    async with asyncio.timeout(8):
        while not accounts(proxy) or proxy.server.connections:
            await asyncio.sleep(0.01)


async def test_requests_that_ask_to_close_are_counted(proxy, origin, make_client):
    """`Connection: close`, as Python's urllib always sends; HTTP/1.0 is not that."""
    for fields in (("Connection: close",), ("connection: Close, x",), ()):
        client = await make_client(proxy)
        await client.get(f"{origin.url}/x", *fields)
    old = await make_client(proxy)
    await old.send(f"GET {origin.url}/x HTTP/1.0\r\nHost: a\r\n\r\n".encode())
    await old.reader.read()
    await gone_but(proxy, 1)

    [account] = accounts(proxy).values()
    assert account.requests == 4
    assert account.close_requests == 2


async def gone_but(proxy, number):
    """Wait until only so many clients are left."""
    async with asyncio.timeout(5):
        while len(proxy.server.connections) > number:
            await asyncio.sleep(0.005)


async def test_a_tunnel_counts_as_one_with_its_bytes(tunnelling, origin, make_client):
    """A connection of its own for each, and short ones are told."""
    proxy = await tunnelling(origin)
    client = await make_client(proxy)
    await client.connect(origin.authority)
    await client.send(
        f"GET /bytes/1000 HTTP/1.1\r\nHost: {origin.name}\r\n\r\n".encode()
    )
    await client.reader.readexactly(1000)
    client.writer.close()
    await gone(proxy)

    [account] = accounts(proxy).values()
    assert (account.tunnels, account.short_tunnels, account.requests) == (1, 1, 0)
    assert account.tunnel_origins == {f"{origin.name}:{origin.port}": (1, 1)}
    assert account.upstream_opened == origin.accepted == 1
    assert account.sent > 1000
    assert account.needless == 0


async def test_the_first_bytes_of_a_tunnel_are_counted_once(
    tunnelling, make_origin, make_client
):
    """An origin that speaks first, and a client that does not wait for the answer."""

    async def greet(connection):
        await connection.send(b"220 at your service\r\n")
        await connection.send(await connection.reader.readexactly(11))

    origin = await make_origin(greet)
    proxy = await tunnelling(origin)
    client = await make_client(proxy)
    asked = connect_bytes(origin.authority) + b"HELO early"
    await client.send(asked)
    answer = await client.reader.readuntil(b"service\r\n")
    await client.send(b"!")
    answer += await client.until_closed()
    await client.close()
    await gone(proxy)

    [account] = accounts(proxy).values()
    assert answer.endswith(b"\r\n\r\n220 at your service\r\nHELO early!")
    assert account.sent == len(answer)
    assert account.received == len(asked) + 1


async def test_an_intercepted_client_is_one_connection_with_its_name(
    intercepting, tls_origin, make_client, local_ca
):
    """The name comes with CONNECT, the requests come inside."""
    proxy = await intercepting()
    client = await make_client(proxy)
    authority = tls_origin.authority.decode()
    await client.send(
        f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{named('cron')}\r\n\r\n".encode()
    )
    await client.reader.readuntil(b"\r\n\r\n")
    await client.start_tls(local_ca.client(), tls_origin.name)
    for _ in range(3):
        await client.send(f"GET /x HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        await client.response()
    client.writer.close()
    await gone(proxy)

    [account] = accounts(proxy).values()
    assert account.name == "cron"
    assert (account.requests, account.connections, account.tunnels) == (3, 1, 0)
    assert (account.needless, account.unread) == (0, 0)


async def test_an_intercepted_client_is_known_by_what_it_says_inside(
    intercepting, tls_origin, make_client, local_ca
):
    """Most send no User-Agent with CONNECT."""
    proxy = await intercepting()
    authority = tls_origin.authority.decode()
    for agent in ("python-requests/2", "Go-http-client/1.1"):
        client = await make_client(proxy)
        await client.connect(authority)
        await client.start_tls(local_ca.client(), tls_origin.name)
        head = f"GET /x HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {agent}\r\n\r\n"
        await client.send(head.encode())
        await client.response()
        client.writer.close()
    await gone(proxy)

    assert {name: a.connections for name, a in accounts(proxy).items()} == {
        "python-requests at 127.0.0.1": 1,
        "Go-http-client at 127.0.0.1": 1,
    }


async def test_a_client_that_gives_up_before_the_head_is_counted_so(
    proxy, origin, make_client
):
    """Its FIN may be that of one that still reads; it has not read when it matters."""
    clients = [await make_client(proxy) for _ in range(25)]
    for client in clients:
        await client.send(request_bytes(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == 25)
    for client in clients:
        client.writer.close()
    origin.release.set()
    await gone(proxy)

    [account] = accounts(proxy).values()
    assert account.aborts == {"head": 25}
    assert account.unread == 0
    assert proxy.report()["clients"][0]["verdict"] == "ok"


async def test_a_truncated_response_is_not_held_against_its_client(
    proxy, make_origin, make_client
):
    """We close its connection because of that, so it opens another one."""

    async def truncate(connection):
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nab")

    origin = await make_origin(truncate)
    for _ in range(25):
        client = await make_client(proxy)
        await client.send(request_bytes(f"{origin.url}/x"))
        await client.reader.read()
        client.writer.close()
        await gone(proxy)

    [account] = accounts(proxy).values()
    assert (account.connections, account.needless) == (25, 0)
    assert proxy.report()["clients"][0]["verdict"] == "ok"


async def test_a_client_that_we_close_when_idle_does_nothing_wrong(
    make_proxy, origin, make_client
):
    """It opens another one, since it has to."""
    proxy = await make_proxy(client_idle_timeout="1ms")
    for _ in range(3):
        client = await make_client(proxy)
        await client.get(f"{origin.url}/x")
        await gone(proxy)

    [account] = accounts(proxy).values()
    assert (account.connections, account.needless) == (3, 0)


async def test_a_connection_that_asks_for_nothing_is_counted_as_well(
    proxy, make_client
):
    """So that the sum is what the kernel saw; it is evidence of nothing."""
    client = await make_client(proxy)
    client.writer.close()
    await gone_later(proxy)

    [account] = accounts(proxy).values()
    assert (account.name, account.connections) == ("client at 127.0.0.1", 1)
    assert account.requests == account.closed == 0


async def test_a_client_that_is_not_let_in_has_no_account(
    make_proxy, origin, make_client
):
    """A cap was reached; strangers must not fill the book."""
    proxy = await make_proxy(max_clients=1)
    first = await make_client(proxy)
    await first.send(request_bytes(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == 1)

    second = await make_client(proxy)
    await second.send(request_bytes(f"{origin.url}/x", named("stranger")))
    await second.reader.read()

    assert list(accounts(proxy)) == ["client at 127.0.0.1"]
    assert accounts(proxy)["client at 127.0.0.1"].connections == 1
    origin.release.set()
    await first.response()


async def test_the_reports_numbers_are_the_origins_and_the_kernels(
    make_proxy, make_origin, make_client
):
    """Clients of three kinds at two origins: accept counts and the socket table."""
    proxy = await make_proxy(max_per_origin=4)
    origins = [await make_origin(), await make_origin()]
    clients = []

    async def work(name, connections, requests):
        for _ in range(connections):
            client = await make_client(proxy)
            clients.append(client)
            for number in range(requests):
                url = f"{origins[number % 2].url}/bytes/100"
                await client.get(url, named(name))

    async with asyncio.TaskGroup() as group:
        for work_of in (("leaky", 30, 1), ("good", 2, 40), ("between", 5, 6)):
            group.create_task(work(*work_of))
    kernel = kernel_connections(to_port=proxy.listening[0].port)
    for client in clients:
        client.writer.close()
    await gone(proxy)

    report = proxy.report()
    totals, entries = report["totals"], {c["client"]: c for c in report["clients"]}
    assert totals["client_connections"] == sum(kernel.values()) == 37
    assert totals["requests"] == sum(len(origin.requests) for origin in origins) == 140
    assert totals["upstream_opened"] == sum(origin.accepted for origin in origins)
    assert totals["upstream_opened"] + totals["upstream_reused"] == 140
    assert {name: entry["verdict"] for name, entry in entries.items()} == {
        "leaky": "connection_per_request",
        "good": "ok",
        "between": "ok",
    }
    by_origin = {entry["origin"]: entry for entry in report["origins"]}
    for origin in origins:
        entry = by_origin[origin.url]
        assert entry["opened"] == origin.accepted
        assert entry["requests"] == len(origin.requests)
    used = sum(c["upstream_opened"] + c["upstream_reused"] for c in entries.values())
    assert used == 140


async def test_the_metrics_and_the_json_say_the_same(proxy, origin, make_client):
    """One leak, seen in the metrics, in the clients' view and in the report."""
    for _ in range(25):
        client = await make_client(proxy)
        await client.get(f"{origin.url}/x", named("leaky"))
        client.writer.close()
    await gone(proxy)

    text = await scrape(proxy.admin_address)
    expected = dict.fromkeys(VERDICTS, 0) | {"connection_per_request": 1}
    assert samples(text, "client_leak_verdict") == {
        ("leaky", verdict): value for verdict, value in expected.items()
    }
    assert samples(text, "client_connections_opened_total") == {("leaky",): 25}
    assert samples(text, "client_connections") == {("leaky",): 0}
    assert samples(text, "client_requests_total") == {("leaky",): 25}
    assert samples(text, "client_requests_per_connection_count") == {(): 25}
    assert samples(text, "client_requests_per_connection_sum") == {(): 25}
    assert samples(text, "estimated_connections_saved_total") == {(origin.url,): 24}
    seconds = samples(text, "estimated_handshake_seconds_saved_total")
    assert seconds[origin.url,] > 0
    for path in ("report", "clients"):
        view = await admin_json(proxy.admin_address, f"/api/v1/{path}")
        [entry] = view["clients"]
        assert (entry["client"], entry["requests"]) == ("leaky", 25)
        assert entry["verdict"] == "connection_per_request"
