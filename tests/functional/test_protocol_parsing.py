"""What is read from clients: rows A1 to A18 of the requirements, the head."""

import pytest

from tests.support.client import request_bytes
from tests.support.own_errors import (
    assert_own_error,
    assert_refused,
    assert_untouched,
)


def spelled(template, origin):
    """Put the origin's authority into a request that is spelled out."""
    return template.replace(b"{o}", origin.authority)


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        ["Host: {o}", "Host: {o}"],
        ["Host: {o}", "Host: other.test"],
        ["Host: a b/c@d"],
        ["Host: user@{o}"],
        ["Host: {o}/path"],
        ["Host: h:80x"],
        ["Host: a,b c"],
        ["Host: [::1"],
        ["Host: e%78.test"],
    ],
)
async def test_a01_a_host_that_is_missing_doubled_or_invalid_is_refused(
    client, origin, hosts
):
    """HTTP/1.1 wants exactly one valid Host, even beside an absolute target."""
    lines = "".join(f"{host}\r\n" for host in hosts).encode()
    raw = spelled(b"GET http://{o}/ HTTP/1.1\r\n" + lines + b"\r\n", origin)

    await assert_refused(client, raw)
    assert_untouched(origin)


async def test_a01_a_client_of_http_1_0_needs_no_host(client, origin):
    """Host came with HTTP/1.1; the origin gets one all the same."""
    await client.send(spelled(b"GET http://{o}/ HTTP/1.0\r\n\r\n", origin))

    assert (await client.response()).body == b"hello"
    assert origin.requests[0].values(b"host") == [origin.authority]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("X-A : 1", id="a02-space-before-the-colon"),
        pytest.param("X-A\t: 1", id="a02-tab-before-the-colon"),
        pytest.param("Content-Length : 5", id="a02-space-before-a-framing-colon"),
        pytest.param("X-A: 1\r\n 2", id="a03-folded-with-a-space"),
        pytest.param("X-A: 1\r\n\t2", id="a03-folded-with-a-tab"),
        pytest.param("X-A: 1\r\n ", id="a03-folded-with-nothing"),
        pytest.param("X-A: 1\r\n Host: b", id="a03-folded-with-a-field"),
        pytest.param(": 1", id="no-name"),
        pytest.param("X-A", id="no-colon"),
        pytest.param("X(A: 1", id="not-a-token"),
        pytest.param("X\x80A: 1", id="not-ascii"),
    ],
)
async def test_a02_a03_a_malformed_field_line_is_refused(client, origin, line):
    """Blanks before the colon and folded lines are read differently by others."""
    await assert_refused(client, request_bytes(f"{origin.url}/", line))
    assert_untouched(origin)


@pytest.mark.parametrize("blank", [b" ", b"\t"])
async def test_a03_a04_a_blank_before_the_first_field_is_refused(client, origin, blank):
    """A line after the request line that starts with a blank is no field."""
    raw = spelled(b"GET http://{o}/ HTTP/1.1\r\n%bHost: {o}\r\n\r\n" % blank, origin)

    await assert_refused(client, raw)
    assert_untouched(origin)


@pytest.mark.parametrize(
    "code", [*range(0x09), 0x0A, 0x0D, 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F]
)
async def test_a05_a_control_byte_in_a_value_is_refused(client, origin, code):
    """NUL, bare CR, bare LF and the rest never reach the origin."""
    await assert_refused(client, request_bytes(f"{origin.url}/", f"X-A: a{chr(code)}b"))
    assert_untouched(origin)


@pytest.mark.parametrize(
    "fields",
    [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["transfer-encoding: CHUNKED", "content-length: 0"],
    ],
)
async def test_a06_content_length_beside_transfer_encoding_is_refused(
    client, origin, fields
):
    """Two framings in one request are the classic smuggling attempt."""
    raw = request_bytes(f"{origin.url}/", *fields, method="POST", body=b"0\r\n\r\n")

    await assert_refused(client, raw)
    assert_untouched(origin)


@pytest.mark.parametrize(
    "fields",
    [
        *([f"Content-Length: {value}"] for value in ("+5", "-5", "0x5", "5,6", "5, 5")),
        *(
            [f"Content-Length: {value}"]
            for value in ("", "1e3", "5 5", "5;", "_5", "5.0")
        ),
        ["Content-Length: \xd9\xa5"],  # ARABIC-INDIC DIGIT FIVE in UTF-8
        [f"Content-Length: {2**64 + 5}"],
        ["Content-Length: 5", "Content-Length: 5"],
        ["Content-Length: 5", "Content-Length: 6"],
    ],
)
async def test_a07_an_invalid_content_length_is_refused(client, origin, fields):
    """Identical duplicates too: RFC 9110 allows to collapse them, we do not."""
    raw = request_bytes(f"{origin.url}/", *fields, method="POST", body=b"hello")

    await assert_refused(client, raw)
    assert_untouched(origin)


async def test_a07_a_content_length_that_no_file_can_have_is_refused(client, origin):
    """2^63 and more overflows others; nobody waits for the body."""
    length = f"Content-Length: {2**63}"
    await client.send(request_bytes(f"{origin.url}/", length, method="POST"))
    response = await client.response("POST")
    client.shut_writing()

    assert_own_error(response, 400)
    assert response.value("Connection") == "close"
    assert await client.rest() == b""
    assert_untouched(origin)


@pytest.mark.parametrize(
    ("codings", "status"),
    [
        (["chunked, gzip"], 400),
        (["xchunked"], 400),
        (["chunked;q=1"], 400),
        (["\x0bchunked"], 400),
        (["identity"], 400),
        (["gzip"], 400),
        ([""], 400),
        pytest.param(["gzip, chunked"], 501, id="a09-gzip"),
        pytest.param(["gzip", "chunked"], 501, id="a09-gzip-on-its-own-line"),
        pytest.param(["chunked, chunked"], 400, id="a10-twice"),
        pytest.param(["chunked", "chunked"], 400, id="a10-on-two-lines"),
    ],
)
async def test_a08_a09_a10_only_chunked_once_is_a_transfer_coding(
    client, origin, codings, status
):
    """What we cannot decode we must not frame, and not forward."""
    fields = [f"Transfer-Encoding: {coding}" for coding in codings]
    raw = request_bytes(f"{origin.url}/", *fields, method="POST", body=b"0\r\n\r\n")

    await assert_refused(client, raw, status)
    assert_untouched(origin)


@pytest.mark.parametrize("field", [b"", b"Connection: keep-alive\r\n"])
async def test_a11_transfer_encoding_in_http_1_0_is_refused(client, origin, field):
    """A chunked HTTP/1.0 request has faulty framing, whatever Connection says."""
    raw = b"POST http://{o}/ HTTP/1.0\r\nHost: {o}\r\n%bTransfer-Encoding: chunked\r\n\r\n"

    await assert_refused(client, spelled(raw % field, origin) + b"0\r\n\r\n")
    assert_untouched(origin)


@pytest.mark.parametrize(
    "version",
    [
        b" HTTP/2.0",
        b" HTTP/0.9",
        b" HTTP/1.2",
        b" HTTP/3.0",
        b" http/1.1",
        b" HTTP/1",
        b"",
    ],
)
async def test_a15_other_versions_are_refused_in_http_1_1(client, origin, version):
    """The status line says our version, whatever the client claims."""
    raw = spelled(b"GET http://{o}/%b\r\nHost: {o}\r\n\r\n" % version, origin)
    await client.send(raw)

    received = await client.until_closed()

    assert received.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 505 "))
    assert b"\r\nProxy-Status: reuse-proxy; error=http_request_error\r\n" in received
    assert_untouched(origin)


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
async def test_a15_both_sides_are_spoken_to_in_our_own_version(client, origin, version):
    """A client of 1.0 is answered in 1.1, and its origin is asked in 1.1."""
    raw = b"GET http://{o}/ %b\r\nHost: {o}\r\nConnection: close\r\n\r\n" % version
    await client.send(spelled(raw, origin))

    received = await client.until_closed()

    assert received.startswith(b"HTTP/1.1 200 ")
    assert origin.requests[0].line == b"GET / HTTP/1.1"


async def test_a16_a_long_target_passes_and_one_over_the_limit_is_414(
    make_client, proxy, origin
):
    """8 KiB is what is common; the limit is above it."""
    client = await make_client(proxy)
    long = await client.get(f"{origin.url}/{'a' * 8192}")
    longer = await make_client(proxy)

    assert long.status == 200
    await assert_refused(longer, request_bytes(f"{origin.url}/{'a' * 17000}"), 414)
    assert len(origin.requests) == 1


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([f"X-A: {'a' * 40_000}"], id="one-field"),
        pytest.param([f"X-{i}: 1" for i in range(300)], id="many-fields"),
        pytest.param([f"X-{i}: {'a' * 1000}" for i in range(100)], id="all-together"),
        pytest.param([f"{'X' * 40_000}: 1"], id="one-name"),
    ],
)
async def test_a16_a_head_over_the_limits_is_431(client, origin, fields):
    """RFC 6585: too large, by one field, by their number, or by their sum."""
    await assert_refused(client, request_bytes(f"{origin.url}/", *fields), 431)
    assert_untouched(origin)


@pytest.mark.parametrize("method", ["M-SEARCH", "PROPFIND", "QUERY", "PURGE", "MKCOL"])
async def test_a17_a_method_we_know_nothing_of_is_forwarded(client, origin, method):
    """What the parser's table holds passes."""
    response = await client.get(f"{origin.url}/", method=method)

    assert response.status == 200
    assert origin.requests[0].method == method.encode()


@pytest.mark.parametrize(
    ("method", "status"), [("FOOBAR", 501), ("get", 501), ("X", 501), ("G@T", 400)]
)
async def test_a17_a_method_outside_the_parsers_table_is_refused(
    client, origin, method, status
):
    """501, as it cannot be forwarded; what is not even a token is no request."""
    raw = request_bytes(f"{origin.url}/", method=method)
    await assert_refused(client, raw, status)
    assert_untouched(origin)


@pytest.mark.parametrize("lines", [b"\r\n", b"\r\n\r\n\r\n"])
async def test_a18_empty_lines_before_a_request_are_ignored(client, origin, lines):
    """Old clients send one after a body."""
    for _ in range(2):
        await client.send(lines, request_bytes(f"{origin.url}/"))

        assert (await client.response()).body == b"hello"
