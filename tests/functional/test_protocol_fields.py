"""Which fields pass, and how: rows A37 to A45 of the requirements."""

import pytest

from tests.support.client import request_bytes
from tests.support.own_errors import assert_own_error, assert_refused, assert_untouched

HOP_BY_HOP = [
    "Keep-Alive: timeout=99",
    "Proxy-Connection: keep-alive",
    "TE: trailers",
    "Upgrade: websocket",
    "Trailer: X-Checksum",
]


@pytest.mark.parametrize(
    "connection",
    [
        ["X-A"],
        ["x-a"],
        ["close-not, X-A"],
        [",, X-A ,,"],
        ["X-B", "X-A"],
        ["X-A, X-B"],
        ["keep-alive,\tx-A"],
    ],
)
async def test_a37_what_connection_names_is_removed_from_a_request(
    client, origin, connection
):
    """Any case, several lines, empty members; and Connection itself."""
    lines = [f"Connection: {value}" for value in connection]
    await client.get(f"{origin.url}/", "X-A: 1", *lines, "x-A: 2", "X-AA: kept")

    request = origin.requests[0]
    assert request.values(b"x-a") == []
    assert request.values(b"connection") == []
    assert request.values(b"x-aa") == [b"kept"]


async def test_a37_what_connection_names_is_removed_from_a_response(client, answer):
    """The same rule towards the client."""
    origin = await answer(
        b"X-A: 1", b"Connection: x-a,,", b"X-AA: kept", b"connection: X-B", b"x-b: 1"
    )
    response = await client.get(f"{origin.url}/")

    assert response.values("X-A") == response.values("X-B") == []
    assert response.values("Connection") == []
    assert response.values("X-AA") == ["kept"]


@pytest.mark.parametrize("line", HOP_BY_HOP)
async def test_a38_hop_by_hop_fields_are_removed_without_being_listed(
    client, answer, line
):
    """From requests and from responses."""
    origin = await answer(line.encode())
    response = await client.get(f"{origin.url}/", line)

    name = line.partition(":")[0]
    assert response.status == 200
    assert origin.requests[0].values(name.encode()) == []
    assert response.values(name) == []


async def test_a38_transfer_encoding_is_our_own_on_each_side(client, origin):
    """One line of it, and only for a body that we frame so."""
    response = await client.get(f"{origin.url}/chunked/5")

    assert response.values("Transfer-Encoding") == ["chunked"]
    assert origin.requests[0].values(b"transfer-encoding") == []


@pytest.mark.parametrize("framing", ["Content-Length: 5", "Transfer-Encoding: chunked"])
async def test_a39_connection_cannot_remove_our_framing_or_host(
    client, origin, framing
):
    """Hop-by-hop abuse: what we regenerate is not the client's to remove."""
    body = b"hello" if "Length" in framing else b"5\r\nhello\r\n0\r\n\r\n"
    abuse = "Connection: Content-Length, Host, Transfer-Encoding, Via"
    for _ in range(2):
        await client.send(
            request_bytes(
                f"{origin.url}/echo", abuse, framing, method="POST", body=body
            )
        )

        assert (await client.response("POST")).body == b"hello"
    request = origin.requests[1]
    assert request.values(b"host") == [origin.authority]
    assert len(request.values(b"via")) == 1


async def test_a39_an_origins_connection_cannot_remove_our_framing(client, answer):
    """The client must still know where the response ends."""
    origin = await answer(b"Connection: Content-Length, Date, Via")
    await client.get(f"{origin.url}/")
    response = await client.get(f"{origin.url}/")

    assert response.body == b"hello"
    assert response.value("Content-Length") == "5"
    assert len(response.values("Via")) == len(response.values("Date")) == 1
    assert origin.accepted == 1


async def test_a40_proxy_credentials_stop_here(client, answer):
    """Neither the client's go on, nor the origin's come back."""
    origin = await answer(b"Proxy-Authenticate: Basic", b"Proxy-Authentication-Info: x")
    response = await client.get(f"{origin.url}/", "Proxy-Authorization: Basic eDp5")

    assert origin.requests[0].values(b"proxy-authorization") == []
    assert b"eDp5" not in origin.requests[0].head
    assert response.values("Proxy-Authenticate") == []
    assert response.values("Proxy-Authentication-Info") == []


async def test_a41_a42_unknown_and_repeated_fields_keep_case_and_order(client, answer):
    """Nothing is joined, sorted or spelled anew, either way."""
    lines = [
        b"x-a: 1",
        b"Set-Cookie: a=1, b",
        b"X-NEW: ",
        b"X-A: 2",
        b"sEt-cookie: c=2",
    ]
    origin = await answer(*lines)
    response = await client.get(f"{origin.url}/", *(line.decode() for line in lines))

    names = (b"x-a", b"set-cookie", b"x-new")
    received = [line for line in response.raw_headers if line[0].lower() in names]
    assert origin.requests[0].lines[1:6] == lines
    assert received == [tuple(line.split(b": ", 1)) for line in lines]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a43_via_names_the_version_received_and_keeps_what_is_there(
    client, answer, version
):
    """A pseudonym, no host name; appended in both directions."""
    origin = await answer(b"Via: 1.0 before", b"Via: 1.1 nearer")
    await client.send(
        f"GET {origin.url}/ HTTP/{version}\r\nHost: h\r\nVia: 1.1 a, 1.0 b\r\n\r\n".encode()
    )
    response = await client.response()

    first, ours = (value.decode() for value in origin.requests[0].values(b"via"))
    assert first == "1.1 a, 1.0 b"
    assert ours.startswith(f"{version} reuse-proxy ")
    assert response.values("Via")[:2] == ["1.0 before", "1.1 nearer"]
    assert response.values("Via")[2].startswith("1.1 reuse-proxy ")


async def test_a43_via_of_a_response_names_the_origins_version(client, make_origin):
    """An origin of HTTP/1.0 is told to the client."""

    async def script(connection):
        await connection.request()
        await connection.send(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")

    origin = await make_origin(script)
    response = await client.get(f"{origin.url}/")

    assert response.values("Via")[0].startswith("1.0 reuse-proxy ")


@pytest.mark.parametrize(
    ("method", "given", "sent"),
    [
        ("OPTIONS", "5", [b"4"]),
        ("TRACE", "1", [b"0"]),
        ("OPTIONS", None, []),
        ("TRACE", None, []),
        ("GET", "0", [b"0"]),
        ("POST", "7", [b"7"]),
        ("GET", "x", [b"x"]),
    ],
)
async def test_a44_max_forwards_counts_down_on_trace_and_options_only(
    client, origin, method, given, sent
):
    """It is never made up, and means nothing to other methods."""
    fields = [] if given is None else [f"Max-Forwards: {given}"]
    response = await client.get(f"{origin.url}/", *fields, method=method)

    assert response.status == 200
    assert origin.requests[0].values(b"max-forwards") == sent


async def test_a44_options_with_no_forwards_left_is_answered_here(client, origin):
    """We are the final recipient."""
    response = await client.get(f"{origin.url}/", "Max-Forwards: 0", method="OPTIONS")

    assert response.status == 204
    assert_untouched(origin)


async def test_a44_a_max_forwards_that_is_no_number_is_refused(client, origin):
    """Counting down from it is impossible."""
    raw = request_bytes(f"{origin.url}/", "Max-Forwards: -1", method="TRACE")

    await assert_refused(client, raw, method="TRACE")
    assert_untouched(origin)


async def test_a45_trace_with_no_forwards_left_shows_nobody_his_secrets(client, origin):
    """We do not echo requests at all."""
    response = await client.get(
        f"{origin.url}/", "Max-Forwards: 0", "Cookie: secret=1", method="TRACE"
    )

    assert_own_error(response, 405)
    assert b"secret" not in response.body
    assert_untouched(origin)
