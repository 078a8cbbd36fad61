"""Connections for tunnels, before a tunnel has taken them over."""

import asyncio

import pytest

from reuse_proxy.errors import UpstreamProtocolError
from reuse_proxy.http.target import PARENT, TUNNEL
from reuse_proxy.http.target import Origin as Key
from reuse_proxy.upstream.books import OriginPool
from reuse_proxy.upstream.connection import UpstreamConnection
from reuse_proxy.upstream.opaque import OpaqueConnection, connection_for
from reuse_proxy.upstream.stats import OriginStats
from tests.support.wire import Owner


def pool_of(scheme):
    """The books of one origin."""
    return OriginPool(Key(scheme, "a.test", 443), OriginStats("a"))


@pytest.fixture
async def opaque():
    """A connection that is not connected to anything."""
    loop = asyncio.get_running_loop()
    return connection_for(pool_of(TUNNEL), Owner(), loop=loop)


async def test_only_tunnels_get_one(opaque):
    """All other connections speak HTTP."""
    loop = asyncio.get_running_loop()

    assert type(opaque) is OpaqueConnection
    for scheme in ("http", "https"):
        made = connection_for(pool_of(scheme), Owner(), loop=loop)
        assert type(made) is UpstreamConnection


async def test_an_unclaimed_one_waits_for_a_moment(opaque):
    """For the client of another tunnel to the same place."""
    assert 0 < opaque.idle_limit <= 1


async def test_one_whose_origin_has_spoken_waits_for_nobody(opaque):
    """Its end would not be seen behind what was said."""
    opaque.data_received(b"220 hello\r\n")

    assert opaque.idle_limit == 0
    assert opaque.response.behind == b"220 hello\r\n"


async def test_one_whose_origin_has_closed_waits_for_nobody(opaque):
    """The other direction is open still, for whom it was dialled."""
    assert opaque.eof_received()
    assert opaque.ended
    assert opaque.idle_limit == 0


async def test_only_a_parent_may_say_407():
    """Of an origin it would be a request for the client's own credentials."""
    loop = asyncio.get_running_loop()
    answer = b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"

    for scheme in ("http", "https", PARENT):
        reader = connection_for(pool_of(scheme), Owner(), loop=loop).response
        reader.expect("GET")
        if scheme == PARENT:
            reader.feed(answer)
            assert reader.heads[0].status == 407
        else:
            with pytest.raises(UpstreamProtocolError, match="407"):
                reader.feed(answer)
