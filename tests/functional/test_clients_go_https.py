"""The Go program of test_clients.py over HTTPS: the same table, the same limits."""

import pytest

from tests.functional.test_clients import REQUESTS, TABLE
from tests.support.programs import build_go, run

pytestmark = [
    pytest.mark.timeout(90),
    pytest.mark.asyncio(loop_factories=["uvloop"]),
]


@pytest.fixture(scope="session")
def leak(tmp_path_factory):
    """The Go program that makes the mistakes, compiled once."""
    return build_go("leak.go", tmp_path_factory.mktemp("go"))


def arguments(mistake, post):
    """Spell a mistake for the program."""
    return [f"-mistake={mistake}", f"-n={REQUESTS}", *(["-post"] if post else [])]


@pytest.mark.parametrize("way", ["origination", "interception"])
@pytest.mark.parametrize(("mistake", "post", "size", "most"), TABLE)
async def test_a_go_program_that_leaks_over_https_reaches_the_bold_row(
    leak, routes, mistake, post, size, most, way
):
    """A hundred sequential requests, none hangs, each answered with 200."""
    route = await routes.open(way)

    await run(
        *(str(leak), *arguments(mistake, post), f"{route.url}/bytes/{size}"),
        proxy=route.proxy.url,
        environment=route.trust("SSL_CERT_FILE"),
    )

    assert len(route.origin.requests) == REQUESTS
    assert 1 <= route.origin.accepted <= most
    route.assert_carried()


@pytest.mark.parametrize(("mistake", "post", "size", "most"), TABLE)
async def test_without_the_proxy_it_opens_a_tls_connection_per_request(
    leak, make_origin, authority, mistake, post, size, most
):
    """The same program, straight to the origin: this is the leak.

    Chunks, since the origin would hold and encrypt whole bodies that nobody reads.
    """
    origin = await make_origin(tls=authority.server(http2=False))

    await run(
        *(str(leak), *arguments(mistake, post)),
        f"https://127.0.0.1:{origin.port}/chunked/{size}",
        environment={"SSL_CERT_FILE": str(authority.file)},
    )

    assert origin.accepted == REQUESTS
