"""Real HTTP clients over HTTPS, on each of the three ways to carry it."""

import pytest

from tests.support.https_clients import ASKING
from tests.support.programs import newest_node, run
from tests.support.ways import WAYS

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

TIMES = 5
OWN_CA = ("tunnel", "interception")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Where programs are built."""
    return tmp_path_factory.mktemp("programs")


@pytest.fixture
async def ask(folder):
    """Let a client ask for /hello so many times; return the bodies."""

    async def ask(name, route, trust, times):
        url = f"{route.url}/hello"
        output = await ASKING[name].run(folder, url, times, route, trust)
        return [line for line in output.splitlines() if line == "hello"]

    return ask


@pytest.fixture(autouse=True)
async def _skip_what_this_node_cannot(request):
    """Skip where Node's own fetch knows no proxy; undici stands for it there."""
    chosen = request.node.callspec.params
    if chosen["name"] != "Node fetch":
        return
    question = (
        "process.allowedNodeEnvironmentFlags.has('--use-env-proxy')"
        " ? process.versions.undici : 0"
    )
    undici = int((await run(newest_node(), "-p", question)).split(".")[0])
    if not undici:
        pytest.skip("this Node is older than NODE_USE_ENV_PROXY")
    if chosen["way"] == "origination" and undici < 8:
        pytest.skip("this Node sends CONNECT for http:// URLs, too")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ASKING)
async def test_a_client_that_reuses_nothing_is_carried(routes, ask, name, way):
    """A connection for each request in a tunnel, one for all on the other ways."""
    route = await routes.open(way)

    bodies = await ask(name, route, route.trust(ASKING[name].ca), TIMES)

    assert bodies == ["hello"] * TIMES
    assert route.origin.accepted == (TIMES if way == "tunnel" else 1)
    route.assert_carried()


@pytest.mark.parametrize("way", OWN_CA)
@pytest.mark.parametrize("name", ASKING)
async def test_a_client_verifies_who_signed(routes, ask, name, way):
    """The origin's authority in a tunnel, ours when intercepted, never the other."""
    route = await routes.open(way)

    with pytest.raises(AssertionError, match=r"(?i)certificate"):
        await ask(name, route, route.distrust(ASKING[name].ca), 1)

    assert route.origin.requests == []
