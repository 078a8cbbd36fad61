"""Several workers: one proxy to everybody outside, told and counted as one."""

import asyncio
import os
import re
import signal
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)

from reuse_proxy.config.address import Address
from tests.support.client import Client
from tests.support.origin import serve_paths
from tests.support.scrape import (
    ESTABLISHED,
    admin_get,
    admin_json,
    kernel_connections,
    samples,
    scrape,
)
from tests.support.serving import serving
from tests.support.workers import worker_pids

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

DOCS = Path(__file__).parents[2] / "docs"
OPENMETRICS = "Accept: application/openmetrics-text; version=1.0.0"


async def ask_anew(server, url, *, times, at_a_time=1):
    """Ask so often, each time on a connection of its own; return the bodies."""

    async def ask():
        async with Client(server.listening) as client:
            return (await client.get(url, "User-Agent: anew/1")).body

    bodies = []
    for _ in range(times // at_a_time):
        bodies += await asyncio.gather(*(ask() for _ in range(at_a_time)))
    return bodies


def total(text, name):
    """Add up all samples of a metric."""
    return sum(samples(text, name).values())


async def test_connections_are_spread_and_what_is_told_is_the_sum(local):
    """The origin's accept count and the kernel say the same as the metrics."""
    async with serving("--workers", "2", "--max-per-origin", "7") as server:
        bodies = await ask_anew(server, f"{local.url}/", times=60, at_a_time=4)
        text = await scrape(server.admin)
        pools = await admin_json(server.admin, "/api/v1/pools")
        kernel = kernel_connections(to_port=local.port)

    assert bodies == [b"hello"] * 60
    by_worker = Counter(row["worker"] for row in pools["origins"])
    assert by_worker == {1: 1, 2: 1}
    asked = [sum(c["requests"] for c in row["connections"]) for row in pools["origins"]]
    assert min(asked) > 0
    assert sum(asked) == total(text, "requests_total") == 60
    opened = total(text, "upstream_connections_opened_total")
    assert opened == total(text, "upstream_connections") == local.accepted
    assert pools["sockets"] == kernel[ESTABLISHED] == local.accepted
    assert samples(text, "upstream_connections_limit") == {
        ("global",): pools["max_sockets"],
        ("origin",): 7,
    }
    assert samples(text, "client_connections_opened_total") == {
        ("anew at 127.0.0.1",): 60
    }


async def test_all_workers_together_keep_to_the_caps(make_origin):
    """Sixty clients at a time for five sockets: the origin never sees a sixth."""
    peak = 0

    async def script(connection):
        nonlocal peak
        peak = max(peak, connection.origin.open)
        await serve_paths(connection)

    origin = await make_origin(script, name="127.0.0.1")
    flags = ("--max-per-origin", "5", "--dial-patience", "0")
    async with serving("--workers", "3", *flags) as server:
        url = f"{origin.url}/bytes/20000"
        bodies = await ask_anew(server, url, times=240, at_a_time=60)

    assert {len(body) for body in bodies} == {20000}
    assert len(bodies) == 240
    # Each worker has one at least, or two.
    assert 3 <= peak <= 5


async def test_a_client_that_is_spread_over_workers_is_judged_once(local):
    """In the report, in the list of clients and in the metrics."""
    async with serving("--workers", "2", "--leak-min-count", "30") as server:
        # Too little for a verdict by either worker alone.
        await ask_anew(server, f"{local.url}/", times=40)
        report = await admin_json(server.admin, "/api/v1/report")
        clients = (await admin_json(server.admin, "/api/v1/clients"))["clients"]
        text = await scrape(server.admin)

    assert [entry["client"] for entry in report["clients"]] == ["anew at 127.0.0.1"]
    entry = report["clients"][0]
    assert (entry["requests"], entry["connections"]) == (40, 40)
    assert entry["verdict"] == "connection_per_request"
    # Which process it is may be found out only after that, or never for one so short.
    for told in (*clients, *report["clients"]):
        told.pop("processes")
    assert clients == report["clients"]
    assert report["totals"]["upstream_opened"] == local.accepted
    assert report["totals"]["requests"] == 40
    verdicts = samples(text, "client_leak_verdict")
    assert [labels for labels, value in verdicts.items() if value] == [
        ("anew at 127.0.0.1", "connection_per_request")
    ]


async def test_every_metric_is_that_of_one_process_or_documented_with_workers(local):
    """And their names, types and order are good OpenMetrics."""
    async with serving("--workers", "2") as several, serving() as one:
        await ask_anew(several, f"{local.url}/", times=10)
        families = {
            server.pid: (await admin_get(server.admin, "/metrics", OPENMETRICS)).body
            for server in (several, one)
        }
    names = {
        pid: {family.name for family in parse_openmetrics(body.decode())}
        for pid, body in families.items()
    }

    more = {name.removeprefix("reuse_proxy_") for name in names.pop(several.pid)}
    usual = {name.removeprefix("reuse_proxy_") for name in names.pop(one.pid)}
    told = (DOCS / "workers.md").read_text("utf-8").split("| metric | |", 1)[1]
    documented = set(
        re.findall(r"^\| `(\w+?)(?:_total)?(?:\{\w+\})?`", told, re.MULTILINE)
    )
    assert more == usual | documented
    assert len(documented) == 2


async def test_what_workers_tell_their_supervisor_is_told_to_nobody_else(proxy):
    """There is no such path on an admin listener that others may ask."""
    async with serving("--workers", "2") as server:
        answers = [
            await admin_get(address, "/internal/state")
            for address in (server.admin, proxy.admin_address)
        ]

    assert [answer.status for answer in answers] == [404, 404]


async def test_no_worker_forwards_to_the_listeners_of_the_others():
    """Neither to the proxy's port nor to the admin listener's, which it has not opened."""
    async with serving("--workers", "2") as server:
        statuses = []
        for _ in range(8):
            for address in (server.listening, server.admin):
                async with Client(server.listening) as client:
                    statuses.append((await client.get(f"http://{address}/")).status)
        text = await scrape(server.admin)

    assert statuses == [403] * 16
    assert samples(text, "denied_total") == {("self",): 16}


async def test_a_unix_listener_is_shared_and_its_file_removed_at_the_end(
    local, tmp_path
):
    """What a killed predecessor left is replaced; what is served by one is not."""
    path = tmp_path / "proxy.sock"
    flags = ("--workers", "2", "--listen", f"unix:{path}")
    async with serving(*flags) as killed:
        os.kill(killed.pid, signal.SIGKILL)
        await killed.exit_code()
    assert path.exists()

    async with serving(*flags) as server:
        async with Client(Address(path=str(path))) as client:
            body = (await client.get(f"{local.url}/")).body
        with pytest.raises(AssertionError, match="in use"):
            async with serving(*flags):
                pass
        server.signal()
        code = await server.exit_code()

    assert body == b"hello"
    assert code == 0
    assert not path.exists()


async def test_a_port_that_another_proxy_serves_is_refused():
    """SO_REUSEPORT would share it between the two, and nobody would be told."""
    async with serving("--workers", "2") as server:
        flags = ("--workers", "2", "--listen", str(server.listening))
        with pytest.raises(AssertionError, match="in use by a process"):
            async with serving(*flags):
                pass


async def test_a_cap_below_the_number_of_workers_is_refused():
    """Exit code 2 and the sentence, without a trace."""
    with pytest.raises(AssertionError) as refused:
        async with serving("--workers", "4", "--max-per-origin", "3"):
            pass

    said = str(refused.value)
    assert "max_per_origin = 3 (from --max-per-origin)" in said
    assert "Traceback" not in said


async def test_every_worker_logs_its_requests(local):
    """Whole lines on the standard output that they share."""
    async with serving(
        "--workers", "2", "--access-log", "text", stdout=asyncio.subprocess.PIPE
    ) as server:
        await ask_anew(server, f"{local.url}/", times=20)
        assert len(await worker_pids(server)) == 2
        server.signal()
        await server.exit_code()
        assert server.process.stdout is not None
        lines = (await server.process.stdout.read()).decode().splitlines()

    assert len(lines) == 20
    assert all("anew at 127.0.0.1" in line for line in lines)
