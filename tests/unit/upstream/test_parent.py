"""A tunnel through a parent, on real sockets: what is asked, and what is left unread."""

import asyncio
import select
import socket

import pytest

from reuse_proxy.config.parent import ParentProxy
from reuse_proxy.errors import ProxyError, status_of
from reuse_proxy.http.target import Origin
from reuse_proxy.upstream.parent import open_tunnel, refused, spelled

PARENT = ParentProxy.parse("http://alice:hunter2@corp:3128")
ORIGIN = Origin("https", "a.test", 443, PARENT)
ASKED = (
    b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n"
    b"Proxy-Authorization: Basic YWxpY2U6aHVudGVyMg==\r\n\r\n"
)


@pytest.fixture
def sockets():
    """Two connected sockets: ours, and the parent's."""
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    theirs.settimeout(0)
    with ours, theirs:
        yield ours, theirs


async def test_nothing_behind_the_answer_is_read(sockets):
    """Whoever gets the socket next reads it."""
    ours, theirs = sockets
    theirs.send(b"HTTP/1.1 200 Fine\r\nX: y\r\n\r\n\x16\x03")
    await open_tunnel(ours, PARENT, ORIGIN)

    assert theirs.recv(1000) == ASKED
    assert ours.recv(1000) == b"\x16\x03"


async def test_an_answer_may_come_in_pieces(sockets):
    """Each is taken before the next is waited for."""
    ours, theirs = sockets
    loop = asyncio.get_running_loop()
    task = loop.create_task(open_tunnel(ours, PARENT, ORIGIN))
    for piece in (b"HTTP/1.1 2", b"00 Fine\r", b"\n\r", b"\nrest"):
        await asyncio.sleep(0)
        theirs.send(piece)
        while not task.done() and select.select([ours], (), (), 0)[0]:
            await asyncio.sleep(0)
    await task

    assert ours.recv(1000) == b"rest"


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 503 No\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"x" * 100_000]
)
async def test_a_refusal_closes_the_socket(sockets, answer):
    """There is nothing else to be done with it."""
    ours, theirs = sockets
    loop = asyncio.get_running_loop()
    sending = loop.create_task(loop.sock_sendall(theirs, answer))

    with pytest.raises(
        ProxyError, match=r"http://corp:3128 \(parent_proxy\)"
    ) as caught:
        await open_tunnel(ours, PARENT, ORIGIN)

    assert ours.fileno() == -1
    assert "hunter2" not in str(caught.value)
    await asyncio.gather(sending, return_exceptions=True)


async def test_who_is_cancelled_closes_the_socket(sockets):
    """And leaves the loop without a reader for it."""
    ours, theirs = sockets
    number = ours.fileno()
    loop = asyncio.get_running_loop()
    task = loop.create_task(open_tunnel(ours, PARENT, ORIGIN))
    await loop.sock_recv(theirs, 1000)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ours.fileno() == -1
    assert not loop.remove_reader(number)


@pytest.mark.parametrize(
    ("status", "ours", "error"),
    [
        (302, 502, "http_request_denied"),
        (403, 502, "http_request_denied"),
        (407, 502, "proxy_configuration_error"),
        (500, 502, "destination_unavailable"),
        (504, 504, "connection_timeout"),
        (599, 502, "destination_unavailable"),
    ],
)
def test_a_status_of_the_parents_becomes_one_of_ours(status, ours, error):
    """502, or 504 where that is what it says; the sentence has its own."""
    exc = refused(PARENT, "CONNECT a.test:443", status)

    assert (status_of(exc), exc.error) == (ours, error)
    assert f"answered CONNECT a.test:443 with {status}" in str(exc)
    assert spelled(PARENT) in str(exc)
