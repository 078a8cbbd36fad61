"""Thousands of randomised exchanges: everybody gets their own bytes, or a failure.

TESTS_SEED chooses another seed, TESTS_EXCHANGES another count; through TLS it is a fifth.
"""

import asyncio
import gc
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.support.books import assert_balanced, settled
from tests.support.chaos import ChaosClient, misbehave, plan
from tests.support.logs import AccessFile, as_metric

SEED = int(os.environ.get("TESTS_SEED", "20260713"))
EXCHANGES = int(os.environ.get("TESTS_EXCHANGES", "10000"))
ORIGINS, CAP, CLIENTS, PER_CLIENT = 8, 20, 48, 8


def descriptors():
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.stress
@pytest.mark.timeout(280)
@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("way", ["plain", "origination", "interception"])
async def test_every_client_gets_its_own_bytes_or_a_visible_failure(
    make_proxy, make_origin, authority, local_ca, way, tmp_path
):
    """Eight origins under a cap of twenty sockets, and everything goes wrong at times."""
    exchanges = EXCHANGES if way == "plain" else EXCHANGES // 5
    print(f"seed {SEED}, {exchanges} exchanges, {way}")  # noqa: T201
    rng = random.Random(SEED)  # noqa: S311
    tls = None if way == "plain" else authority.server()
    origins = [await make_origin(misbehave, tls=tls) for _ in range(ORIGINS)]
    log = AccessFile(tmp_path / "access.log")
    proxy = await make_proxy(
        log=log,
        access_log="json",
        max_sockets=CAP,
        max_per_origin=8,
        response_timeout="1s",
        drain_timeout="500ms",
        ca_file=authority.file,
        **settings_of(way, origins, local_ca),
    )
    client = ChaosClient(
        proxy.listening[0],
        [origin.url.replace("https", "http") for origin in origins],
        inside=local_ca.client() if way == "interception" else None,
    )
    plans = [plan(number, rng, origins=ORIGINS) for number in range(1, exchanges + 1)]
    batches = [plans[i : i + PER_CLIENT] for i in range(0, exchanges, PER_CLIENT)]
    places = asyncio.Semaphore(CLIENTS)
    highest = 0
    before = descriptors()

    async def run(batch):
        nonlocal highest
        async with places:
            await client.run(batch)
            highest = max(highest, sum(origin.open for origin in origins))

    async with asyncio.TaskGroup() as group:
        for batch in batches:
            group.create_task(run(batch))
    await settled(proxy)
    print(dict(client.outcomes))  # noqa: T201

    assert sum(client.outcomes.values()) == exchanges
    assert client.outcomes["whole"] > exchanges * 0.5
    assert highest <= CAP + ORIGINS  # an origin hears of a close a moment later
    await assert_balanced(proxy)
    assert_counts_agree(proxy, origins, tls)
    await everything_is_given_back(proxy, before)
    await assert_lines_agree(proxy, log)


async def assert_lines_agree(proxy, log):
    """The access log tells of as many requests as the metrics, and of the same kinds.

    Of a CONNECT whose TLS has failed there is a line and no such metric.
    """
    entries = await log.all_entries(proxy)
    counted: Counter[tuple[str, ...]] = Counter()
    for label, stats in proxy.session.stats.origins.items():
        for (status, via), count in stats.requests.items():
            counted[f"{status}xx", label, via] += count

    opened = sum(stats.opened for stats in proxy.session.stats.origins.values())
    asked = [e for e in entries if e["total"] is not None]
    failed = [e for e in asked if e["via"] == "intercept" and e["error"]]
    assert as_metric([e for e in asked if e not in failed]) == dict(+counted)
    assert sum(entry["via"] == "new" for entry in entries) <= opened


def assert_counts_agree(proxy, origins, tls):
    """What the origins have accepted is what the proxy has opened.

    An origin accepts a connection with TLS when its handshake is over, which it is for
    the proxy a moment before: there those count on which TLS was begun.
    """
    stats = proxy.session.stats.origins.values()
    failed = sum(each.connect_failures.total() for each in stats)
    accepted = tls.begun if tls else sum(origin.accepted for origin in origins)

    assert accepted == sum(each.opened for each in stats) + failed


def settings_of(way, origins, local_ca):
    """What carries the exchanges in this way."""
    if way == "origination":
        return {"originate_tls": "*"}
    if way == "interception":
        ports = ", ".join(str(origin.port) for origin in origins)
        return {"intercept": "*", "ca_dir": local_ca.folder, "connect_ports": ports}
    return {}


async def everything_is_given_back(proxy, before):
    """No lease, task, descriptor or queue slot is left."""
    async with asyncio.timeout(10):
        while proxy.server.connections or len(proxy.session._tasks):
            await asyncio.sleep(0.05)
    gc.collect()
    names = [task.get_name() for task in asyncio.all_tasks()]
    assert not [name for name in names if name.startswith(("dial", "drain", "upload"))]
    assert proxy.stall_watch.spooled == 0
    assert len(proxy.stall_watch) == 0
    # The idle upstream connections, with both of their ends here, may stay.
    assert descriptors() - before <= 2 * proxy.session.pool.sockets
