"""The credentials for the parent go to the parent, and into nothing else."""

import asyncio
import gc
import io
import logging

import pytest

from reuse_proxy.commands import check
from reuse_proxy.config.loading import Loaded, load
from reuse_proxy.config.parent import ParentProxy
from reuse_proxy.config.settings import Settings
from reuse_proxy.downstream.route import ParentRoute
from reuse_proxy.http.target import Origin
from reuse_proxy.report import markdown, text
from reuse_proxy.service import Service
from reuse_proxy.upstream.books import OriginPool
from reuse_proxy.upstream.connection import UpstreamConnection
from reuse_proxy.upstream.session import UpstreamSession
from tests.support.client import Client
from tests.support.parent import BASIC, LOGIN, SECRETS, parent_url
from tests.support.scrape import admin_get
from tests.support.serving import serving
from tests.support.tunnels import connect_bytes

ENDPOINTS = (
    "/",
    "/metrics",
    "/api/v1/pools",
    "/api/v1/clients",
    "/api/v1/report",
    "/api/v1/settings",
)
# Whatever may hold the credentials, directly or in a part.
HOLDERS = (
    Service,
    UpstreamSession,
    OriginPool,
    UpstreamConnection,
    ParentRoute,
    ParentProxy,
    Origin,
    Loaded,
    Settings,
)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Tell a lie."""
        return True


def assert_hidden(*texts):
    """Check that no spelling of the credentials is in a text."""
    told = [(secret, text) for text in texts for secret in SECRETS if secret in text]

    assert told == []


async def use(proxy, tls_origin):
    """Ask for something in each way; return all that the client is told."""
    told = b""
    for raw in (
        b"GET http://a.elsewhere/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"TRACE http://a.elsewhere/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET %b/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        % tls_origin.url.encode(),
        connect_bytes("a.elsewhere:443"),
        connect_bytes("a.elsewhere:22"),
    ):
        async with Client(proxy.listening[0]) as client:
            await client.send(raw)
            told += await client.until_closed()
    return told.decode("latin-1")


@pytest.mark.parametrize("wanted", [BASIC, b"Basic other"], ids=["accepted", "refused"])
async def test_no_text_tells_the_credentials(
    behind, make_parent, tls_origin, authority, caplog, wanted
):
    """Clients, admin pages, reports, logs at every level, what objects print."""
    caplog.set_level(logging.DEBUG)
    parent = await make_parent(credentials=wanted)
    proxy = await behind(parent, LOGIN, ca_file=authority.file)
    told = await use(proxy, tls_origin)
    pages = [await admin_get(proxy.admin_address, path) for path in ENDPOINTS]
    report = io.StringIO()
    text.write(proxy.report(), report)

    sent = [
        value for r in parent.requests for value in r.values(b"proxy-authorization")
    ]
    assert set(sent) == {BASIC}
    assert ("with 407" in told) == (wanted != BASIC)
    assert ("http://a.elsewhere/" in told) == (wanted == BASIC)
    assert_hidden(told, *(page.body.decode() for page in pages))
    assert_hidden(report.getvalue(), markdown.markdown(proxy.report()))
    assert_hidden(caplog.text, *map(repr, caplog.records))
    assert_hidden(*map(repr, [o for o in gc.get_objects() if isinstance(o, HOLDERS)]))
    assert_hidden(*(task.get_name() for task in asyncio.all_tasks()))


@pytest.mark.parametrize("tty", [True, False])
def test_check_does_not_print_them(tty):
    """Neither as a table nor as a file."""
    out = Terminal() if tty else io.StringIO()
    loaded = load({}, {"REUSE_PROXY_PARENT_PROXY": f"http://{LOGIN}@corp:3128"})
    check.run(loaded, out)

    assert "http://...@corp:3128" in out.getvalue()
    assert_hidden(out.getvalue(), repr(loaded), repr(loaded.settings), str(loaded))


async def test_a_process_does_not_log_them(make_parent, tmp_path):
    """With what it logs of its start, of refusals and of its end."""
    parent = await make_parent(credentials=b"Basic other")
    file = tmp_path / "settings.toml"
    url = parent_url(parent, LOGIN).replace("parent.test", "127.0.0.1")
    file.write_text(f'parent_proxy = "{url}"\n')
    async with serving("--config", str(file)) as server:
        async with Client(server.listening) as client:
            await client.send(connect_bytes("a.elsewhere:443"))
            answer = await client.response("CONNECT")
        server.signal()
        await server.exit_code()

    assert answer.status == 502
    assert b"with 407" in answer.body
    assert any("with 407" in line for line in server.log)
    assert_hidden("".join(server.log), answer.body.decode())
