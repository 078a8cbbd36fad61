"""What is not edited, and bodies that stay as they are: rows A46 to A54."""

import gzip
import hashlib
import zlib

import pytest

from tests.support.client import request_bytes
from tests.support.own_errors import assert_own_error

REQUEST_FIELDS = [
    'Authorization: Digest username="a", uri="/?,"',
    'If-None-Match: "x", W/"y"',
    "If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT",
    'If-Range: "x"',
    "Range: bytes=0-1,-2",
    "Cache-Control: no-cache, max-age=0",
    "Pragma: no-cache",
    "User-Agent: a/1 (b)",
    "Accept: */*;q=0.1",
    "Accept-Encoding: br;q=1, gzip",
    "Content-Type: Text/PLAIN;charset=UTF-8",
    "Referer: http://a.test/b?c#d",
    "Cookie: a=1; b=2",
    'Forwarded: for="[::1]"',
    "X-Forwarded-For: 192.0.2.1",
    "DNT: 1",
]
RESPONSE_FIELDS = [
    b"Allow: GET,  HEAD",
    b'WWW-Authenticate: Digest realm="a, b", Basic realm=c',
    b"Server: none-of/yours",
    b'ETag: W/"x"',
    b"Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT",
    b"Cache-Control: private, no-transform",
    b"Vary: Accept, *",
    b"Content-Type: TEXT/plain",
    b"Location: http://a.test/../b",
    b"Proxy-Status: other; error=dns_error",
    b"Date: Tue, 02 Jan 2024 00:00:00 GMT",
]


async def test_a46_a47_a48_a54_nothing_is_edited_and_nothing_added_but_via(
    client, answer
):
    """All lines arrive in their order, then our Via, and that is all."""
    origin = await answer(*RESPONSE_FIELDS)
    response = await client.get(f"{origin.url}/", *REQUEST_FIELDS)

    *lines, via = origin.requests[0].lines
    *fields, length, our_via = response.raw_headers
    assert lines == [
        b"Host: " + origin.authority,
        *(field.encode() for field in REQUEST_FIELDS),
    ]
    assert fields == [tuple(line.split(b": ", 1)) for line in RESPONSE_FIELDS]
    assert length == (b"Content-Length", b"5")
    assert via.startswith(b"Via: ")
    assert our_via[0] == b"Via"


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (b"304 Not Modified", b'ETag: "x"'),
        (b"206 Partial Content", b"Content-Range: bytes 0-4/10"),
        (b"416 Range Not Satisfiable", b"Content-Range: bytes */10"),
        (b"412 Precondition Failed", b"X-A: 1"),
    ],
)
async def test_a47_conditional_answers_pass_through(client, answer, status, line):
    """Whether a condition holds is for the origin to say."""
    has_body = not status.startswith(b"304")
    origin = await answer(line, status=status, body=b"hello" if has_body else b"")
    for _ in range(2):
        response = await client.get(f"{origin.url}/", "Range: bytes=0-4")

        assert response.status == int(status[:3])
        assert tuple(line.split(b": ", 1)) in response.raw_headers
        assert response.body == (b"hello" if has_body else b"")
    assert origin.accepted == 1


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "x-unknown"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a49_content_is_untouched_both_ways(client, origin, coding, chunked):
    """Coded bodies are neither decoded nor coded again."""
    plain = b"".join(b"%x" % (number * number) for number in range(40_000))
    content = {"gzip": gzip.compress(plain), "deflate": zlib.compress(plain)}.get(
        coding, plain
    )
    if chunked:
        framing = "Transfer-Encoding: chunked"
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
    else:
        framing, body = f"Content-Length: {len(content)}", content
    fields = (f"Content-Encoding: {coding}", "Cache-Control: no-transform", framing)
    await client.send(
        request_bytes(f"{origin.url}/echo", *fields, method="PUT", body=body)
    )
    response = await client.response("PUT")

    wanted = hashlib.sha256(content).digest()
    assert hashlib.sha256(origin.requests[0].body).digest() == wanted
    assert hashlib.sha256(response.body).digest() == wanted


async def test_a50_a_response_without_date_gets_one(client, origin):
    """And a response that has one keeps it, as seen above."""
    response = await client.get(f"{origin.url}/")

    assert response.value("Date").endswith(" GMT")
    assert response.raw_headers[-1][0] == b"Date"


async def test_a51_content_length_and_transfer_encoding_are_never_sent_together(
    client, origin
):
    """Whatever the origin's framing was."""
    for path in ("bytes/5", "chunked/5", "bytes/0", "chunked/0"):
        response = await client.get(f"{origin.url}/{path}")
        framing = [
            *response.values("Content-Length"),
            *response.values("Transfer-Encoding"),
        ]

        assert len(framing) == 1
        assert framing == ([path[-1]] if "bytes" in path else ["chunked"])


async def test_a52_421_and_vary_are_the_origins_to_say(client, answer):
    """A 421 of the origin passes; Vary is not touched."""
    origin = await answer(b"Vary: Accept", status=b"421 Misdirected Request")
    response = await client.get(f"{origin.url}/")

    assert response.status == 421
    assert response.values("Vary") == ["Accept"]


async def test_a53_bytes_above_ascii_pass_unchanged_both_ways(client, answer):
    """They are opaque: neither UTF-8 nor Latin-1 is assumed."""
    opaque = bytes(range(0x80, 0x100))
    origin = await answer(b"X-A: " + opaque, status=b"200 " + opaque)
    await client.send(
        request_bytes(f"{origin.url}/", "X-A: " + opaque.decode("latin-1"))
    )
    response = await client.response()

    assert origin.requests[0].values(b"x-a") == [opaque]
    assert (b"X-A", opaque) in response.raw_headers
    assert response.reason == opaque


async def test_a53_bytes_above_ascii_in_a_target_pass_unchanged(client, origin):
    """Should the parser let them in at all, then as they are."""
    await client.send(request_bytes(f"{origin.url}/\xe4\xff?\x80"))
    response = await client.response()

    if response.status == 200:
        assert origin.requests[0].target == b"/\xe4\xff?\x80"
    else:
        assert_own_error(response, 400)


async def test_a54_no_address_of_the_client_is_added(client, origin):
    """Forwarded and X-Forwarded-For would be opt-in."""
    await client.get(f"{origin.url}/")

    assert [line.partition(b":")[0] for line in origin.requests[0].lines] == [
        b"Host",
        b"Via",
    ]
    assert b"127.0.0.1" not in origin.requests[0].head
