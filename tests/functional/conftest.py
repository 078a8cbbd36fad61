"""Fixtures of the functional tests: origins with one scripted answer."""

import pytest

from tests.support.origin import Origin
from tests.support.ways import Routes


@pytest.fixture
async def answer(make_origin):
    """Make an origin that gives one scripted response to every request."""

    async def make(*lines: bytes, status=b"200 OK", body=b"hello") -> Origin:
        async def script(connection):
            while True:
                await connection.request()
                head = [b"HTTP/1.1 " + status, *lines]
                if not any(line.lower().startswith(b"content-length") for line in head):
                    head.append(b"Content-Length: %d" % len(body))
                await connection.send(b"\r\n".join([*head, b"", b""]), body)

        return await make_origin(script)

    return make


@pytest.fixture
def routes(make_proxy, make_origin, authority, local_ca):
    """The ways to new origins."""
    return Routes(make_proxy, make_origin, authority, local_ca)
