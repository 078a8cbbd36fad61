"""Fixtures of the functional tests: origins with one scripted answer."""

import pytest

from tests.support.logs import AccessFile
from tests.support.origin import Origin
from tests.support.parent import parent_script, parent_url
from tests.support.tunnels import tunnelling_to_origins
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
def access_log(tmp_path):
    """The file that a proxy's access log goes to."""
    return AccessFile(tmp_path / "access.log")


@pytest.fixture
async def logging_proxy(make_proxy, access_log):
    """A proxy with default settings that logs every request as JSON."""
    return await make_proxy(log=access_log, access_log="json")


@pytest.fixture
async def local(make_origin):
    """An origin under an address, since a process resolves names for real."""
    return await make_origin(name="127.0.0.1")


@pytest.fixture
def routes(make_proxy, make_origin, authority, local_ca):
    """The ways to new origins."""
    return Routes(make_proxy, make_origin, authority, local_ca)


@pytest.fixture
async def intercepting(make_proxy, tls_origin, authority, local_ca):
    """Start a proxy that opens every CONNECT to the test origin."""

    async def make(**settings):
        return await make_proxy(
            **{
                "intercept": "*.test",
                "ca_dir": local_ca.folder,
                "ca_file": authority.file,
                "connect_ports": tls_origin.port,
                "tls_timeout": "1s",
                **settings,
            }
        )

    return make


@pytest.fixture
async def tunnelling(make_proxy):
    """Start proxies that allow tunnels to given origins."""
    async with tunnelling_to_origins(make_proxy) as make:
        yield make


@pytest.fixture
async def make_parent(make_origin):
    """Start parents, by name parent.test."""

    async def make(script=None, **options):
        script = script or parent_script(**options)
        return await make_origin(script, name="parent.test")

    return make


@pytest.fixture
async def parent(make_parent):
    """A parent that answers with the target that it is asked for."""
    return await make_parent()


@pytest.fixture
async def behind(make_proxy):
    """Start a proxy behind a parent."""

    async def make(parent, login="", **settings):
        return await make_proxy(
            **{"parent_proxy": parent_url(parent, login), **settings}
        )

    return make
