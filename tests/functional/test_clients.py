"""Real programs with real mistakes; the truth is what the origin has accepted."""

import sys

import pytest

from tests.support.programs import PROGRAMS, build_go, need, run

KIB, MIB = 1024, 1024 * 1024
REQUESTS = 100


@pytest.fixture(scope="session")
def leak(tmp_path_factory):
    """The Go program that makes the mistakes, compiled once."""
    return build_go("leak.go", tmp_path_factory.mktemp("go"))


# The table of design.md section 1: mistake, POST, body, the most connections that
# may reach the origin through the proxy.
TABLE = [
    ("unread", False, MIB, 1),
    ("unread", False, 8 * MIB, 32),
    ("closeonly", False, MIB, 4),
    ("closeonly", False, 8 * MIB, 16),
    ("newtransport", False, KIB, 1),
    ("newtransport", True, KIB, 1),
]


@pytest.mark.timeout(90)
@pytest.mark.parametrize(("mistake", "post", "size", "most"), TABLE)
async def test_a_go_program_that_leaks_reaches_the_bold_row(
    leak, proxy, origin, mistake, post, size, most
):
    """A hundred sequential requests, none hangs, each answered with 200."""
    arguments = [f"-mistake={mistake}", f"-n={REQUESTS}", *(["-post"] if post else [])]

    await run(str(leak), *arguments, f"{origin.url}/bytes/{size}", proxy=proxy.url)

    assert len(origin.requests) == REQUESTS
    assert 1 <= origin.accepted <= most
    opened = sum(stats.opened for stats in proxy.session.stats.origins.values())
    assert opened == origin.accepted


@pytest.mark.timeout(90)
@pytest.mark.parametrize(("mistake", "post", "size", "most"), TABLE)
async def test_without_the_proxy_it_opens_a_connection_per_request(
    leak, origin, mistake, post, size, most
):
    """The same program, straight to the origin: this is the leak."""
    arguments = [f"-mistake={mistake}", f"-n={REQUESTS}", *(["-post"] if post else [])]
    url = f"http://127.0.0.1:{origin.port}/bytes/{size}"

    await run(str(leak), *arguments, url)

    assert origin.accepted == REQUESTS


async def test_curl_in_a_loop_shares_one_connection(proxy, origin):
    """Twenty processes, one request each."""
    for _ in range(20):
        await run(need("curl"), "-sSf", f"{origin.url}/bytes/10", proxy=proxy.url)

    assert len(origin.requests) == 20
    assert origin.accepted == 1


async def test_requests_without_a_session_share_one_connection(proxy, origin):
    """`requests.get` in a loop opens a client connection for each call."""
    script = str(PROGRAMS / "requests_loop.py")

    await run(sys.executable, script, f"{origin.url}/bytes/10", "30", proxy=proxy.url)

    assert len(origin.requests) == 30
    assert origin.accepted == 1


async def test_requests_without_a_session_leak_without_the_proxy(origin):
    """The same loop, straight to the origin."""
    script = str(PROGRAMS / "requests_loop.py")

    await run(sys.executable, script, f"http://127.0.0.1:{origin.port}/x", "30")

    assert origin.accepted == 30
