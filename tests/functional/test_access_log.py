"""The access log: one line for each request, and each is true."""

import asyncio
import base64
import json
import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.support.client import Client, request_bytes
from tests.support.logs import COLUMNS, as_metric, told
from tests.support.machine import own_address
from tests.support.scrape import samples, scrape

MIB = 1024 * 1024
DOCUMENT = (Path(__file__).parents[2] / "docs/logs.md").read_text("utf-8")


async def reading_nothing(client, url):
    """Ask for more than is held for a client, and leave it unread."""
    client.writer.transport.pause_reading()
    await client.send(request_bytes(url))


# The truth from outside...


async def left(proxy, origin, path, wait_for):
    """Ask, and leave when the origin tells that it is time to."""
    async with Client(proxy.listening[0]) as client:
        await client.send(request_bytes(f"{origin.url}{path}"))
        await wait_for(client)
        client.reset()


async def a_program(proxy, origin, number):
    """Five requests on one connection, with bodies of several kinds."""
    async with Client(proxy.listening[0]) as client:
        for path in ("bytes/10", "bytes/100000", "chunked/70000", "echo"):
            await client.get(f"{origin.url}/{path}")
        url, length = f"{origin.url}/echo", f"Content-Length: {number}"
        body = b"x" * number
        await client.send(request_bytes(url, length, method="POST", body=body))
        await client.response("POST")


async def several_programs(proxy, origin):
    """Sixty of them, five that leave amid a response, one that is refused; 308 requests."""
    for _ in range(3):
        programs = [a_program(proxy, origin, number) for number in range(1, 21)]
        await asyncio.gather(*programs)
    for _ in range(5):
        await left(proxy, origin, f"/bytes/{3 * MIB}", lambda c: c.reader.read(1))
    async with Client(proxy.listening[0]) as client:
        await client.get(f"http://{origin.name}:22/")
        await client.get(f"http://{origin.name}:1/")
        assert (await client.get("http://user:secret@a.test/")).status == 400


async def test_lines_are_what_the_origin_has_seen(logging_proxy, origin, access_log):
    """`new` as often as it has accepted; a line for each request; sums as in metrics."""
    proxy = logging_proxy
    await several_programs(proxy, origin)
    entries = await access_log.all_entries(proxy)
    text = await scrape(proxy.admin_address)

    via = Counter(entry["via"] for entry in entries)
    assert len(entries) == 3 * 20 * 5 + 5 + 3
    # A dial that was overtaken may have opened one that nobody has needed since.
    used = sum(connection.served > 0 for connection in origin.connections)
    assert via["new"] == used <= origin.accepted
    assert via["reused"] == len(origin.requests) - used
    asked = [entry for entry in entries if entry["total"] is not None]
    counted = samples(text, "requests_total").items()
    assert len(entries) - len(asked) == 1
    assert as_metric(asked) == {key: value for key, value in counted if value}
    whys = [entry["why_not_reused"] for entry in entries if entry["via"] == "new"]
    misses = sum(samples(text, "upstream_reuse_misses_total").values())
    assert len(whys) - whys.count("queued") == misses
    aborted = [entry for entry in entries if entry["aborted"]]
    assert len(aborted) == sum(samples(text, "client_aborts_total").values()) == 5


async def test_bytes_add_up_to_what_the_ledger_has_counted(
    logging_proxy, origin, access_log
):
    """Heads and bodies, both ways, however it went; malformed bytes as well."""
    proxy = logging_proxy
    async with Client(proxy.listening[0]) as client:
        for path in ("bytes/10", "chunked/70000", "echo"):
            await client.get(f"{origin.url}/{path}")
        await client.send(*(request_bytes(f"{origin.url}/bytes/7") for _ in range(5)))
        for _ in range(5):
            await client.response()
        await client.send(b"NONSENSE\r\n\r\n")
        await client.until_closed()
    await left(proxy, origin, f"/bytes/{3 * MIB}", lambda c: c.reader.read(1))

    entries = await access_log.all_entries(proxy)
    [account] = proxy.ledger.accounts()
    assert len(entries) == 3 + 5 + 1 + 1
    assert sum(entry["bytes"] for entry in entries) == account.sent
    assert sum(entry["received"] for entry in entries) == account.received
    assert min(entry["bytes"] for entry in entries) > 0


async def test_one_program_after_another_opens_what_the_lines_say(
    logging_proxy, origin, access_log
):
    """Where nobody overtakes anybody, `new` is each connection that was accepted."""
    for number in range(1, 21):
        await a_program(logging_proxy, origin, number)
        if number % 5 == 0:  # such a rest is not read for a client that has left
            await left(logging_proxy, origin, "/hold", lambda c: c.reader.read(1))

    entries = await access_log.all_entries(logging_proxy)
    origin.release.set()
    via = Counter(entry["via"] for entry in entries)
    assert len(entries) == len(origin.requests) == 20 * 5 + 4
    assert via == {"new": origin.accepted, "reused": 104 - origin.accepted}
    assert 1 <= origin.accepted <= 5


# One request after another...


async def test_a_line_says_how_a_request_was_served(
    logging_proxy, origin, make_client, access_log
):
    """The first one opens a connection, which the second one uses again."""
    client = await make_client(logging_proxy)
    url = f"{origin.url}/a/path?token=secret"
    agent, length = (
        "User-Agent: curl/8.1",
        len(request_bytes(url, "User-Agent: curl/8.1")),
    )
    first = await client.get(url, agent)
    await client.get(url, agent, method="HEAD")

    new, reused = await access_log.entries(2)
    keys = ("client", "method", "origin", "path", "status", "via", "why_not_reused")
    who = ("curl at 127.0.0.1", "GET", f"http://origin.test:{origin.port}", None, 200)
    assert told(new, *keys) == (*who, "new", "first")
    assert told(reused, *keys) == (who[0], "HEAD", *who[2:], "reused", None)
    assert new["received"] == length
    assert new["bytes"] > len(first.body)
    assert new["total"] >= new["queue"] >= 0
    assert 0 < new["connect"] < 5
    assert (reused["queue"], reused["connect"]) == (0, None)
    assert told(new, "error", "aborted", "trace_id") == (None, None, None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", new["time"])
    assert "secret" not in access_log.path.read_text()


async def test_the_path_is_told_when_it_is_asked_for(
    make_proxy, origin, make_client, access_log
):
    """With its query, byte for byte; a target that is refused as well, if it is one."""
    proxy = await make_proxy(log=access_log, access_log="json", access_log_paths="true")
    client = await make_client(proxy)
    await client.get(f"{origin.url}/a%22b?x=%0A&y")
    await client.get(origin.url)
    await client.ask("/status", "Host: a.test")
    await client.ask("http://user:secret@a.test/private")

    paths = [entry["path"] for entry in await access_log.entries(4)]
    assert paths == ["/a%22b?x=%0A&y", "/", "/status", None]


async def test_nothing_is_logged_unless_it_is_asked_for(
    make_proxy, origin, make_client, access_log
):
    """There is a place to log to, and it stays empty; nothing is remembered either."""
    proxy = await make_proxy(log=access_log)
    client = await make_client(proxy)
    await client.get(f"{origin.url}/")

    assert await access_log.raw(0) == []
    assert [connection.log for connection in proxy.server.clients] == [None]


async def test_a_client_has_the_name_that_the_report_has(
    make_proxy, origin, access_log, tmp_path
):
    """By its proxy URL, on a UNIX socket, or by its product; when refused as well."""
    proxy = await make_proxy(
        log=access_log,
        access_log="json",
        listen=f"127.0.0.1:0,unix:{tmp_path}/proxy",
    )
    token = base64.b64encode(b"billing-cron:pa55").decode()
    named = f"Proxy-Authorization: Basic {token}"
    tcp, unix = proxy.listening
    for address, fields in (
        (tcp, (named,)),
        (unix, ("User-Agent: Go-http-client/1.1",)),
        (tcp, ("User-Agent: third/1",)),
    ):
        async with Client(address) as client:
            await client.get(f"{origin.url}/", *fields)
            await client.ask("/", "Host: a.test", *fields)
            await client.send(b"\x00\r\n\r\n")
            await client.until_closed()

    names = [entry["client"] for entry in await access_log.entries(9)]
    assert names == [
        *["billing-cron"] * 3,
        *[f"Go-http-client of uid {os.getuid()}"] * 3,
        *["third at 127.0.0.1"] * 3,
    ]
    assert "pa55" not in access_log.path.read_text()
    assert token not in access_log.path.read_text()


async def test_a_client_past_the_bound_of_the_ledger_has_its_own_name(
    make_proxy, origin, make_client, access_log
):
    """There it is one of all others; a line needs no account."""
    proxy = await make_proxy(
        log=access_log, access_log="json", ledger_max_clients=1, metrics_max_clients=0
    )
    for product in ("first", "second"):
        client = await make_client(proxy)
        await client.get(f"{origin.url}/", f"User-Agent: {product}/1")

    entries = await access_log.entries(2)
    assert [account.name for account in proxy.ledger.accounts()][1:] == ["other"]
    assert entries[1]["client"] == "second at 127.0.0.1"


async def test_text_has_the_same_in_columns_that_awk_can_split(
    make_proxy, origin, make_client, access_log
):
    """The command of docs/logs.md counts why connections were opened."""
    proxy = await make_proxy(log=access_log, access_log="text")
    client = await make_client(proxy)
    for _ in range(3):
        await client.get(f"{origin.url}/", "User-Agent: curl/8.1")
    await client.send(b"NONSENSE\r\n\r\n")
    await client.until_closed()

    lines = [line.decode().rstrip("\n") for line in await access_log.raw(4)]
    assert all(
        line.split(" ", COLUMNS)[COLUMNS].startswith("curl at") for line in lines
    )
    assert [line.split()[6] for line in lines] == ["new", "reused", "reused", "none"]
    assert lines[3].split()[1:4] == ["400", "-", "-"]
    [command] = re.findall(r"^awk .*access\.log(?=  )", DOCUMENT, re.MULTILINE)
    counted = await asyncio.to_thread(
        subprocess.run,
        ["sh", "-c", command],
        cwd=access_log.path.parent,
        capture_output=True,
        check=True,
        text=True,
    )
    assert counted.stdout == f"1 {origin.url} first\n"


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_a_trace_id_joins_lines_with_traces(
    logging_proxy, origin, make_client, access_log
):
    """Only a valid one does."""
    client = await make_client(logging_proxy)
    await client.get(f"{origin.url}/", f"TraceParent: 00-{TRACE}-00f067aa0ba902b7-01")
    await client.get(f"{origin.url}/", f"TraceParent: 00-{TRACE}-00f067aa0ba902b7")

    traces = [entry["trace_id"] for entry in await access_log.entries(2)]
    assert traces == [TRACE, None]


async def test_a_retry_is_one_line_about_the_connection_that_served(
    logging_proxy, make_origin, make_client, access_log
):
    """What was lost went out on a used one; the answer came on a new one."""

    async def script(connection):
        await connection.request()
        await connection.reply(b"first")
        if connection.number == 1:
            await connection.request()  # and closes

    origin = await make_origin(script)
    client = await make_client(logging_proxy)
    await client.get(f"{origin.url}/")
    response = await client.get(f"{origin.url}/")

    first, second = await access_log.entries(2)
    assert response.status == 200
    assert origin.accepted == 2
    assert told(first, "via", "status") == ("new", 200)
    assert told(second, "via", "status", "error") == ("new", 200, None)
    assert second["connect"] > 0


async def test_pipelined_requests_have_a_line_each(
    logging_proxy, origin, make_client, access_log
):
    """In their order, and the last one is what ends the connection."""
    client = await make_client(logging_proxy)
    await client.send(
        *(request_bytes(f"{origin.url}/bytes/{size}") for size in (3, 2, 1)),
        b"NONSENSE\r\n\r\n",
    )
    await client.until_closed()

    entries = await access_log.entries(4)
    assert [entry["status"] for entry in entries] == [200, 200, 200, 400]
    assert entries[-1]["method"] is None


# How requests end...


async def test_a_client_that_leaves_says_in_which_phase(
    make_proxy, origin, make_client, access_log
):
    """In the queue, before the head, amid the body; the status is the last known."""
    proxy = await make_proxy(log=access_log, access_log="json", max_per_origin=1)
    await left(proxy, origin, f"/bytes/{3 * MIB}", lambda c: c.reader.read(1))
    await access_log.entries(1)
    holder = await make_client(proxy)
    await holder.send(request_bytes(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == 2)

    async def queued(_):
        (pool,) = proxy.session.pool.origins.values()
        await origin.until(lambda: len(pool.waiters) == 1)

    await left(proxy, origin, "/queued", queued)
    await access_log.entries(2)
    holder.reset()

    entries = await access_log.entries(3)
    origin.release.set()
    assert [told(e, "aborted", "via", "status", "error") for e in entries] == [
        ("body", "new", 200, None),
        ("queue", "none", 499, None),
        ("head", "reused", 499, None),
    ]
    assert entries[1]["total"] >= entries[1]["queue"]
    assert entries[0]["bytes"] >= 1


async def test_a_client_that_does_not_read_is_told_apart_from_one_that_left(
    make_proxy, origin, make_client, access_log
):
    """We have reset it."""
    proxy = await make_proxy(
        log=access_log,
        access_log="json",
        client_stall_timeout="100ms",
        spool_per_response="1KiB",
    )
    client = await make_client(proxy)
    await reading_nothing(client, f"{origin.url}/bytes/{16 * MIB}")

    [entry] = await access_log.entries(1)
    assert told(entry, "aborted", "status", "via") == ("stalled", 200, "new")


async def test_what_a_shutdown_cuts_off_says_so(
    make_proxy, origin, make_client, access_log
):
    """The client had not left; with or without a head by then."""
    proxy = await make_proxy(log=access_log, access_log="json")
    waiting, client = await make_client(proxy), await make_client(proxy)
    await waiting.send(request_bytes(f"{origin.url}/wait"))
    await client.send(request_bytes(f"{origin.url}/hold"))
    await client.reader.readuntil(b"ab")
    await origin.until(lambda: len(origin.requests) == 2)
    await proxy.stop()

    entries = await access_log.entries(2)
    assert {told(e, "status", "aborted") for e in entries} == {
        (499, "shutdown"),
        (200, "shutdown"),
    }


async def test_a_response_that_is_cut_short_has_its_status_and_an_error(
    logging_proxy, make_origin, make_client, access_log
):
    """What the client was told first, and what became of it."""

    async def script(connection):
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort")

    origin = await make_origin(script)
    client = await make_client(logging_proxy)
    await client.send(request_bytes(f"{origin.url}/"))
    await client.until_closed()

    [entry] = await access_log.entries(1)
    assert told(entry, "status", "error", "via", "aborted") == (
        200,
        "http_response_incomplete",
        "new",
        None,
    )


async def silent(connection):
    """Take a request, and answer nothing."""
    await connection.request()
    await connection.closed()


async def mumbling(connection):
    """Answer what is no HTTP."""
    await connection.request()
    await connection.send(b"SSH-2.0-OpenSSH\r\n")
    await connection.closed()


@pytest.mark.parametrize(
    ("script", "settings", "status", "error", "via"),
    [
        (silent, {"response_timeout": "100ms"}, 504, "connection_read_timeout", "new"),
        (mumbling, {}, 502, "http_protocol_error", "new"),
        (silent, {"deny_private": "true"}, 403, "destination_ip_prohibited", "none"),
    ],
)
async def test_an_error_has_the_word_of_proxy_status(
    make_proxy,
    make_origin,
    make_client,
    access_log,
    script,
    settings,
    status,
    error,
    via,
):
    """And the status that the client got."""
    origin = await make_origin(script)
    proxy = await make_proxy(log=access_log, access_log="json", **settings)
    client = await make_client(proxy)
    response = await client.get(f"{origin.url}/")

    [entry] = await access_log.entries(1)
    assert response.value("Proxy-Status") == f"reuse-proxy; error={error}"
    assert told(entry, "status", "error", "via") == (status, error, via)
    assert entry["origin"] == origin.url
    assert entry["total"] >= entry["queue"]


async def test_a_full_queue_has_a_line_for_whom_it_refuses(
    make_proxy, origin, make_client, access_log
):
    """At once, so it has waited for nothing."""
    proxy = await make_proxy(
        log=access_log, access_log="json", max_per_origin=1, max_queue=0
    )
    holder, late = await make_client(proxy), await make_client(proxy)
    await holder.send(request_bytes(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == 1)
    await late.get(f"{origin.url}/")

    [entry] = await access_log.entries(1)
    origin.release.set()
    await holder.response()
    assert told(entry, "status", "error", "via", "aborted") == (
        503,
        "connection_limit_reached",
        "none",
        None,
    )


NO_HOST = b"GET http://a.test:81/x HTTP/1.1\r\n\r\n"
FIELD = b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nX: %b\r\n\r\n" % (
    b"x" * 40_000
)


@pytest.mark.parametrize(
    ("sent", "status", "method", "origin"),
    [
        (b"NONSENSE\r\n\r\n", 400, None, None),
        (b"\x16\x03\x01\x00\x05hello\r\n\r\n", 400, None, None),
        (b"GET http://a.test/ HTTP/1.2\r\nHost: a.test\r\n\r\n", 400, None, None),
        (b"NEW http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 501, None, None),
        (FIELD, 431, None, None),
        (NO_HOST, 400, "GET", "http://a.test:81"),
        (b"GET http://a.test/\r\n\r\n", 505, "GET", "http://a.test:80"),
        (b"GET gopher://a.test/ HTTP/1.1\r\nHost: a\r\n\r\n", 501, "GET", None),
        (b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "GET", None),
        (b"OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", 204, "OPTIONS", None),
        (b"CONNECT a.test HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "CONNECT", None),
        (b"CONNECT a.test:22 HTTP/1.1\r\n\r\n", 400, "CONNECT", "a.test:22"),
    ],
)
async def test_a_refusal_has_a_line(
    logging_proxy, make_client, access_log, sent, status, method, origin
):
    """With what could be read of the request, and nobody was asked."""
    client = await make_client(logging_proxy)
    await client.send(sent)
    client.shut_writing()
    answer = await client.until_closed()

    [entry] = await access_log.entries(1)
    error = None if status == 204 else "http_request_error"
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert told(entry, "status", "method", "origin", "error") == (
        status,
        method,
        origin,
        error,
    )
    assert told(entry, "via", "queue", "total", "aborted") == ("none", None, None, None)
    assert entry["bytes"] == len(answer)


async def test_a_head_that_takes_too_long_has_a_line(
    make_proxy, make_client, access_log
):
    """It is no request yet, and is answered as one."""
    proxy = await make_proxy(
        log=access_log, access_log="json", client_head_timeout="100ms"
    )
    client = await make_client(proxy)
    await client.send(b"GET http://a.test/secret HT")
    await client.until_closed()

    [entry] = await access_log.entries(1)
    assert told(entry, "status", "method", "error") == (408, None, "http_request_error")
    assert entry["received"] == 27


async def test_who_may_not_connect_has_a_line(make_proxy, access_log):
    """A stranger's address is all that is known."""
    address = own_address()
    proxy = await make_proxy(
        log=access_log,
        access_log="json",
        listen=f"{address}:0",
        allow_clients="198.51.100.0/24",
    )
    async with Client(proxy.listening[0]) as client:
        await client.until_closed()

    [entry] = await access_log.entries(1)
    assert told(entry, "status", "client", "error") == (
        403,
        f"client at {address}",
        "http_request_denied",
    )


async def test_an_upload_that_is_refused_midway_has_one_line(
    make_proxy, origin, make_client, access_log
):
    """Also while the rest of its body is still being read."""
    proxy = await make_proxy(log=access_log, access_log="json", max_request_body="10")
    client = await make_client(proxy)
    chunked = "Transfer-Encoding: chunked"
    await client.send(request_bytes(f"{origin.url}/echo", chunked, method="POST"))
    await client.send(b"14\r\n" + b"x" * 20 + b"\r\n")
    response = await client.response("POST")
    client.reset()

    [entry] = await access_log.all_entries(proxy)
    assert response.status == 413
    assert told(entry, "status", "error") == (413, "http_request_error")


ODD = [bytes([byte]) for byte in range(256)] + [b"\xe2\x80\xae", b'",', b"\\u0000"]


@pytest.mark.parametrize("style", ["json", "text"])
async def test_no_byte_of_a_client_can_forge_a_line(
    make_proxy, origin, make_client, access_log, style
):
    """In the method, the target, and the name that it gives itself."""
    proxy = await make_proxy(log=access_log, access_log=style, access_log_paths="true")
    authority = origin.authority
    sent = 0
    for odd in ODD:
        token = base64.b64encode(b"cron" + odd + b"\n2026 forged:x")
        for head in (
            b"G%bT http://%b/ HTTP/1.1\r\nHost: %b\r\n" % (odd, authority, authority),
            b"GET http://%b/%b HTTP/1.1\r\nHost: %b\r\n" % (authority, odd, authority),
            b"GET http://%b/ HTTP/1.1\r\nHost: %b\r\nUser-Agent: %b\r\n"
            % (authority, authority, odd),
            b"GET http://%b/ HTTP/1.1\r\nHost: %b\r\nProxy-Authorization: Basic %b\r\n"
            % (authority, authority, token),
        ):
            async with Client(proxy.listening[0]) as client:
                await client.send(head, b"Connection: close\r\n\r\n")
                await client.until_closed()
            sent += 1

    lines = await access_log.raw(sent)
    assert len(lines) == sent
    for line in lines:
        assert re.fullmatch(rb"[ -~]+\n", line), line
        if style == "json":
            assert len(json.loads(line)) == 16
        else:
            assert len(line.split(b" ", COLUMNS)) == COLUMNS + 1
            assert re.match(rb"\d{4}-\d\d-\d\dT[\d:.]{12}Z \d{3} ", line)
