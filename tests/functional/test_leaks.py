"""Real programs, leaking and mended: each gets the right verdict and the right fix."""

import asyncio
import sys

import pytest

from tests.support.programs import PROGRAMS, build_go, need, node_program, run

KIB, MIB = 1024, 1024 * 1024
REQUESTS = 30


@pytest.fixture(scope="session")
def leak(tmp_path_factory):
    """The Go program that makes the mistakes, compiled once."""
    return build_go("leak.go", tmp_path_factory.mktemp("go"))


def go(leak, mistake, url):
    """The Go program's command."""
    return [str(leak), f"-mistake={mistake}", f"-n={REQUESTS}", url]


def python(script, url):
    """A Python program's command."""
    return [sys.executable, str(PROGRAMS / script), url, str(REQUESTS)]


def node(script, url):
    """A Node program's command."""
    return [*node_program(script), url, str(REQUESTS)]


def shell(script, url):
    """A shell script's command."""
    need("curl")
    return [need("sh"), str(PROGRAMS / script), url, str(REQUESTS)]


# Program, body, verdict, family, and a word of the fix.
LEAKING = [
    ("go newtransport", KIB, "connection_per_request", "go", "Share one http.Client"),
    ("go closeonly", MIB, "abandons_body", "go", "io.Copy(io.Discard, resp.Body)"),
    ("go unread", MIB, "abandons_body", "go", "Go 1.27"),
    ("go unread", 24 * MIB, "never_reads", "go", "bodyclose"),
    ("requests_loop.py", KIB, "connection_per_request", "requests", "Session"),
    ("undici_loop.js", KIB, "connection_per_request", "node", "ProxyAgent"),
    ("curl_loop.sh", KIB, "connection_per_request", "curl", "curl"),
]
MENDED = [
    ("go none", MIB, 1),
    ("requests_session.py", KIB, 1),
    ("undici_shared.js", KIB, 2),
    ("curl_once.sh", KIB, 1),
]


@pytest.fixture
def command(leak):
    """Make the command of a program by its name."""

    def make(name, url):
        if name.startswith("go "):
            return go(leak, name.removeprefix("go "), url)
        makers = {".py": python, ".js": node, ".sh": shell}
        return makers[name[-3:]](name, url)

    return make


async def reported(proxy):
    """Wait until every client has left; return the report."""
    async with asyncio.timeout(10):
        while proxy.server.connections:
            await asyncio.sleep(0.01)
    return proxy.report()


@pytest.mark.timeout(90)
@pytest.mark.parametrize(("name", "size", "verdict", "family", "word"), LEAKING)
async def test_a_leaking_program_gets_its_verdict_and_its_fix(
    make_proxy, origin, command, name, size, verdict, family, word
):
    """By how it behaves, and by what it says it is."""
    proxy = await make_proxy(client_stall_timeout="500ms", max_per_origin=4)

    await run(*command(name, f"{origin.url}/bytes/{size}"), proxy=proxy.url)

    report = await reported(proxy)
    [client] = report["clients"]
    assert client["verdict"] == verdict, client
    assert client["connections"] == client["requests"] == REQUESTS
    assert client["fix"]["family"] == family
    text = " ".join([client["fix"]["summary"], *client["fix"]["steps"]])
    assert word in text + " ".join(client["fix"]["code"])
    assert report["totals"]["leaking"] == 1
    assert report["totals"]["upstream_opened"] == origin.accepted
    assert origin.accepted <= 4 or verdict == "never_reads"  # too big to be drained


@pytest.mark.parametrize(("name", "size", "connections"), MENDED)
async def test_a_mended_program_is_ok(proxy, origin, command, name, size, connections):
    """The same requests, over as few connections as it can."""
    await run(*command(name, f"{origin.url}/bytes/{size}"), proxy=proxy.url)

    report = await reported(proxy)
    [client] = report["clients"]
    assert client["verdict"] == "ok", client
    assert client["requests"] == REQUESTS == len(origin.requests)
    assert 1 <= client["connections"] <= connections
    assert client["fix"] is None
    assert report["totals"]["leaking"] == 0


async def test_short_tunnels_are_told_and_how_they_could_be_pooled(
    tunnelling, tls_origin, authority
):
    """A curl process for each https:// request, each through a tunnel of its own."""
    proxy = await tunnelling(tls_origin)
    url = f"{tls_origin.url}/x"
    for _ in range(20):
        await run(
            need("curl"),
            "-sSf",
            "--http1.1",
            url,
            proxy=proxy.url,
            environment={"CURL_CA_BUNDLE": str(authority.file)},
        )

    report = await reported(proxy)
    [client] = report["clients"]
    assert client["verdict"] == "unpoolable_tunnels"
    assert (client["tunnels"], client["short_tunnels"]) == (20, 20)
    assert client["upstream_opened"] == tls_origin.accepted == 20
    assert client["fix"]["family"] == "curl"
    [tunnel] = report["tunnels"]
    name, port = tls_origin.name, tls_origin.port
    assert tunnel == {
        "origin": f"{name}:{port}",
        "tunnels": 20,
        "short": 20,
        "origination": f"--originate-tls {name}:80={port}",
        "interception": f"--intercept {name}:{port}",
    }


async def test_the_settings_that_a_report_advises_do_pool(
    make_proxy, tls_origin, authority
):
    """Origination by the words of the report: one connection for all requests."""
    name, port = tls_origin.name, tls_origin.port
    proxy = await make_proxy(originate_tls=f"{name}:80={port}", ca_file=authority.file)
    for _ in range(20):
        await run(need("curl"), "-sSf", f"http://{name}/x", proxy=proxy.url)

    report = await reported(proxy)
    assert tls_origin.accepted == 1
    assert report["totals"]["estimated_connections_saved"] == 19
