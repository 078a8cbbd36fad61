"""Dialling real sockets: policy on the address, happy eyeballs, and its limits."""

import asyncio
import socket
from contextlib import closing
from ipaddress import ip_network

import pytest

from reuse_proxy.errors import (
    AccessDeniedError,
    UpstreamConnectError,
    UpstreamTimeoutError,
)
from reuse_proxy.http.target import Origin as Key
from reuse_proxy.tasks import TaskSet
from reuse_proxy.upstream.books import Limits
from reuse_proxy.upstream.dialer import Dialer
from reuse_proxy.upstream.dns import NameCache
from reuse_proxy.upstream.options import SessionOptions
from reuse_proxy.upstream.policy import DestinationPolicy
from reuse_proxy.upstream.stats import SessionStats
from reuse_proxy.upstream.tls import TlsContexts


def dialer(names, *, timeout=5.0, contexts=None, **policy):
    """Make a dialer over the fixture's names, with its numbers."""
    stats = SessionStats(max_origins=1)
    cache = NameCache(
        names,
        ttl=60.0,
        timeout=timeout,
        tasks=TaskSet(),
        stats=stats,
        changed=lambda *_: None,
    )
    return (
        Dialer(
            cache,
            SessionOptions(Limits(), connect_timeout=timeout, tls_timeout=timeout),
            policy=DestinationPolicy(**policy),
            tls=contexts or TlsContexts(),
            stats=stats,
        ),
        stats,
    )


async def test_a_dial_returns_a_connected_socket_and_its_time(names, origin):
    """Kept alive by the kernel, and measured."""
    dial, stats = dialer(names)

    sock, seconds = await dial.dial(Key("http", "a.test", origin.port))

    with closing(sock):
        assert sock.getpeername() == ("127.0.0.1", origin.port)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert 0 <= seconds < 1
        assert stats.connect_seconds["tcp"].counts != [0] * 10
        await origin.until(lambda: origin.accepted == 1)


async def test_an_address_that_refuses_gives_way_to_the_next(names, origin):
    """Happy eyeballs: nothing listens on IPv6 here."""
    names.table["a.test"] = ["::1", "127.0.0.1"]
    dial, _ = dialer(names)

    sock, _ = await dial.dial(Key("http", "a.test", origin.port))

    with closing(sock):
        assert sock.getpeername()[0] == "127.0.0.1"


async def test_a_refused_connect_names_the_origin(names, unused_tcp_port):
    """502 with the narrower type."""
    dial, _ = dialer(names)

    with pytest.raises(UpstreamConnectError, match=r"http://a\.test:") as caught:
        await dial.dial(Key("http", "a.test", unused_tcp_port))

    assert (caught.value.status, caught.value.error) == (502, "connection_refused")


async def test_a_dial_takes_no_longer_than_the_connect_timeout(names):
    """A backlog that is full swallows the SYN."""
    dial, _ = dialer(names, timeout=0.1)
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.settimeout(0)
            filler.connect_ex(full.getsockname())

        with pytest.raises(UpstreamTimeoutError, match="connect_timeout") as caught:
            await dial.dial(Key("http", "a.test", full.getsockname()[1]))

    assert (caught.value.status, caught.value.error) == (504, "connection_timeout")


async def test_a_denied_address_is_not_connected_to(names, origin):
    """Policy looks at the address that the name has."""
    dial, stats = dialer(names, deny=[ip_network("127.0.0.0/8")])

    with pytest.raises(AccessDeniedError):
        await dial.dial(Key("http", "a.test", origin.port))

    assert origin.accepted == 0
    assert stats.denied == {"deny_destinations": 1}


async def test_a_denied_address_does_not_hide_an_allowed_one(names, origin):
    """Only what is denied is left out."""
    names.table["a.test"] = ["127.0.0.2", "127.0.0.1"]
    dial, stats = dialer(names, deny=[ip_network("127.0.0.2/32")])

    sock, _ = await dial.dial(Key("http", "a.test", origin.port))

    with closing(sock):
        assert sock.getpeername()[0] == "127.0.0.1"
    assert stats.denied == {}


async def test_a_name_without_addresses_is_an_error_of_ours(names):
    """And no failure of the dialer itself."""
    names.table["a.test"] = []
    dial, _ = dialer(names)

    with pytest.raises(UpstreamConnectError):
        await dial.dial(Key("http", "a.test", 80))


async def test_a_cancelled_dial_leaves_no_socket(names):
    """Neither open, nor warned of."""
    names.hold = asyncio.Event()
    dial, _ = dialer(names)
    task = asyncio.get_running_loop().create_task(dial.dial(Key("http", "a.test", 9)))
    await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    names.hold.set()

    assert task.cancelled()


async def test_the_time_of_a_handshake_is_the_handshakes_alone(names, authority):
    """The authorities, which the first one has to load, no other would."""
    loading = 0.5

    class Loading(TlsContexts):
        async def context(self, origin):
            await asyncio.sleep(loading)
            return await super().context(origin)

    dial, stats = dialer(names, contexts=Loading(ca_file=authority.file))
    server = await asyncio.start_server(
        lambda *_: None, "127.0.0.1", 0, ssl=authority.server()
    )
    async with server:
        origin = Key("https", "a.test", server.sockets[0].getsockname()[1])
        sock, spent = await dial.dial(origin)
        protocol, seconds = await dial.attach(origin, sock, Kept, spent=spent)
        protocol.transport.abort()

    assert 0 < seconds < loading
    assert stats.connect_seconds["tls"].sum == seconds


class Kept(asyncio.Protocol):
    """Keeps its transport."""

    def connection_made(self, transport):
        """Keep it."""
        self.transport = transport
