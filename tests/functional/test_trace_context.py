"""W3C Trace Context goes through untouched: to the origin and back, byte for byte."""

import pytest

from tests.support.client import request_bytes
from tests.support.intercepting import intercepted

# Odd on purpose: spelling, spacing, order, a duplicate, a version of the future.
ODD = (
    b"TraceParent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    b"X-Between: 1",
    b"tracestate:  rojo=00f067aa0ba902b7 ,congo=t61rcWkgMzE",
    b"TRACESTATE: \tvendor@x=\x80\xff;a:b",
    b"traceparent: cc-not-what-anybody-knows",
)
LINES = {
    "sampled": (ODD[0],),
    "state only": ODD[2:3],
    "odd": ODD,
}
BACK = (
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
    b"TraceResponse: 00-4bf92f3577b34da6a3ce929d0e0e4736-d75597dee50b0cac-01",
    b"Tracestate:  es=s:1 ",
)


def traced(lines):
    """Pick the lines of a head that are about traces, as they are."""
    return [line for line in lines if line.lower().startswith(b"trace")]


def expected(sent):
    """What is to arrive: only spaces between colon and value are not part of it."""
    pairs = (line.split(b":", 1) for line in traced(sent))
    return [b"%b: %b" % (name, value.lstrip(b" \t")) for name, value in pairs]


@pytest.fixture
async def tracing(make_origin, authority):
    """Make an origin whose responses have such lines; TLS where that is asked for."""

    async def make(*, tls=False, stale=False):
        async def script(connection):
            while True:
                await connection.request()
                if (
                    stale
                    and connection.number == 1
                    and len(connection.origin.requests) > 1
                ):
                    return  # as a server that closes an idle connection does
                await connection.reply(b"hello", *BACK)

        return await make_origin(script, tls=authority.server() if tls else None)

    return make


async def came_back(client):
    """Read a response's head, and the lines of it that are about traces."""
    head = await client.reader.readuntil(b"\r\n\r\n")
    await client.reader.readexactly(5)
    return traced(head.split(b"\r\n"))


@pytest.mark.parametrize("lines", LINES.values(), ids=LINES)
async def test_trace_context_passes_a_plain_request(tracing, client, lines):
    """On a new connection and on one that is used again."""
    origin = await tracing()
    for _ in range(2):
        fields = [line.decode("latin-1") for line in lines]
        await client.send(request_bytes(f"{origin.url}/", *fields))
        back = await came_back(client)

        assert traced(origin.requests[-1].lines) == expected(lines)
        assert back == expected(BACK)
    assert origin.accepted == 1


@pytest.mark.parametrize("lines", LINES.values(), ids=LINES)
async def test_trace_context_passes_an_intercepted_request(
    make_proxy, tracing, authority, local_ca, lines
):
    """What is opened with the local CA is read and written like any other."""
    origin = await tracing(tls=True)
    proxy = await make_proxy(
        intercept="*.test",
        ca_dir=local_ca.folder,
        ca_file=authority.file,
        connect_ports=origin.port,
    )
    async with intercepted(proxy, origin, local_ca) as client:
        head = [b"GET / HTTP/1.1", b"Host: " + origin.authority, *lines, b"", b""]
        await client.send(b"\r\n".join(head))
        back = await came_back(client)

    assert traced(origin.requests[-1].lines) == expected(lines)
    assert back == expected(BACK)


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_trace_context_is_the_same_in_a_retry(proxy, tracing, client, method):
    """What was lost with its connection is sent again as it was."""
    origin = await tracing(stale=True)
    await client.send(request_bytes(f"{origin.url}/"))
    await came_back(client)

    fields = [line.decode("latin-1") for line in ODD]
    length = [] if method == "GET" else ["Content-Length: 4"]
    body = b"" if method == "GET" else b"body"
    request = request_bytes(
        f"{origin.url}/", *fields, *length, method=method, body=body
    )
    await client.send(request)
    back = await came_back(client)

    _, lost, again = origin.requests
    assert traced(lost.lines) == traced(again.lines) == expected(ODD)
    assert again.body == body
    assert back == expected(BACK)
    assert origin.accepted == 2
