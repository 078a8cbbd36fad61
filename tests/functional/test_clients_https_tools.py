"""git and pip over HTTPS, on each of the three ways to carry it."""

import pytest

from tests.support.https_clients import FETCHING
from tests.support.static import (
    PROJECT,
    WHEEL,
    make_index,
    make_repository,
    serve_files,
)
from tests.support.ways import WAYS

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

PATHS = {"git": "/project.git", "pip": "/simple"}
FETCHED = {"git": f"project/{PROJECT}", "pip": WHEEL}
ORIGINALS = {"git": f"work/{PROJECT}", "pip": f"simple/hand-made/{WHEEL}"}
RUNS = 2


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """A folder with a repository and a package index."""
    folder = tmp_path_factory.mktemp("served")
    make_repository(folder)
    make_index(folder)
    return folder


@pytest.fixture
def fetch(tmp_path):
    """Let a client fetch into a new folder; return what has come."""

    async def fetch(name, route, trust):
        folder = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        url = route.url + PATHS[name]
        await FETCHING[name].run(folder, url, 1, route, trust)
        return (folder / FETCHED[name]).read_bytes()

    return fetch


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FETCHING)
async def test_a_tool_fetches_what_is_there(routes, served, fetch, name, way):
    """Twice, each with connections of its own in a tunnel, with one for both else."""
    route = await routes.open(way, serve_files(served))
    trust = route.trust(FETCHING[name].ca)

    fetched = [await fetch(name, route, trust) for _ in range(RUNS)]

    assert fetched == [(served / ORIGINALS[name]).read_bytes()] * RUNS
    if way == "tunnel":
        assert route.origin.accepted >= RUNS
    else:
        assert route.origin.accepted == 1
    route.assert_carried()


@pytest.mark.parametrize("way", ["tunnel", "interception"])
@pytest.mark.parametrize("name", FETCHING)
async def test_a_tool_verifies_who_signed(routes, served, fetch, name, way):
    """The origin's authority in a tunnel, ours when intercepted, never the other."""
    route = await routes.open(way, serve_files(served))

    with pytest.raises(AssertionError, match=r"(?i)certificate"):
        await fetch(name, route, route.distrust(FETCHING[name].ca))

    assert route.origin.requests == []
