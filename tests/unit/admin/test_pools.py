"""The JSON views: what they are made of, before any connection."""

import asyncio
import json

import pytest

from reuse_proxy.admin.pools import pools_view, settings_view
from reuse_proxy.config.loading import load
from reuse_proxy.config.settings import Settings
from reuse_proxy.downstream.tunnel import Tunnels
from reuse_proxy.http.target import Origin
from reuse_proxy.upstream.books import Limits, OriginPool
from reuse_proxy.upstream.options import SessionOptions
from reuse_proxy.upstream.policy import DestinationPolicy
from reuse_proxy.upstream.session import UpstreamSession


@pytest.fixture
async def session(names):
    """A session that knows one origin, over IPv6, without connections."""
    session = UpstreamSession(
        SessionOptions(limits=Limits(max_sockets=7)),
        resolver=names,
        policy=DestinationPolicy(),
    )
    origin = Origin("http", "::1", 8080)
    session.pool.origins[origin] = OriginPool(origin, session.stats.admit(origin))
    yield session
    await session.aclose()


@pytest.fixture
async def tunnels(session):
    """No tunnels."""
    tunnels = Tunnels(session, idle_timeout=1, loop=asyncio.get_running_loop())
    yield tunnels
    tunnels.close()


async def test_an_origin_without_connections_is_valid_json(session, tunnels):
    """What is not known is null, never Infinity."""
    view = json.loads(json.dumps(pools_view(session, tunnels), allow_nan=False))

    (origin,) = view["origins"]
    assert (view["sockets"], view["max_sockets"]) == (0, 7)
    assert origin["origin"] == "http://[::1]:8080"
    assert origin["connections"] == []
    assert view["tunnels"] == []
    assert origin["learned_idle_limit_seconds"] is None
    assert origin["connect_seconds"] is None


def test_every_setting_is_shown():
    """With its value as it can be given back, and its source."""
    view = settings_view(load({"max_sockets": "9"}, {}, None))

    assert set(view) == set(Settings.model_fields)
    assert view["max_sockets"]["value"] == "9"
    again = load({"idle_timeout": view["idle_timeout"]["value"]}, {}, None)
    assert again.settings.idle_timeout == 30
