"""WebSocket clients over TLS, on each of the three ways to carry it."""

import pytest

from tests.support.https_clients import TALKING
from tests.support.websocket import echo_messages

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

MESSAGES = 3
SUPPORTED = [(name, way) for name, client in TALKING.items() for way in client.ways]


@pytest.fixture
def talk(tmp_path):
    """Let a client send messages and return what it heard."""

    async def talk(name, route, trust):
        url = route.url.replace("http", "ws", 1) + "/talk"
        output = await TALKING[name].run(tmp_path, url, MESSAGES, route, trust)
        return output.splitlines()

    return talk


@pytest.mark.parametrize(("name", "way"), SUPPORTED)
async def test_a_websocket_echoes(routes, talk, name, way):
    """End to end, with TLS on the origin's side at least."""
    route = await routes.open(way, echo_messages)

    heard = await talk(name, route, route.trust(TALKING[name].ca))

    assert heard == [f"number {number}" for number in range(MESSAGES)]
    assert route.origin.accepted == 1
    route.assert_carried()


@pytest.mark.parametrize("way", ["tunnel", "interception"])
@pytest.mark.parametrize("name", TALKING)
async def test_a_websocket_client_verifies_who_signed(routes, talk, name, way):
    """The origin's authority in a tunnel, ours when intercepted, never the other."""
    route = await routes.open(way, echo_messages)

    with pytest.raises(AssertionError, match=r"(?i)certificate"):
        await talk(name, route, route.distrust(TALKING[name].ca))

    assert route.origin.requests == []


async def test_websockets_asks_for_a_tunnel_even_without_tls(routes, talk):
    """So its ws:// cannot be originated: it is refused for its port, and says so."""
    route = await routes.open("origination", echo_messages)

    with pytest.raises(AssertionError, match="403"):
        await talk("websockets", route, {})

    assert route.origin.requests == []
