"""Thousands of randomised exchanges: everybody gets their own bytes, or a failure.

TESTS_SEED chooses another seed, TESTS_EXCHANGES another count.
"""

import asyncio
import gc
import os
import random
from pathlib import Path

import pytest

from tests.support.books import assert_balanced, settled
from tests.support.chaos import ChaosClient, misbehave, plan

SEED = int(os.environ.get("TESTS_SEED", "20260713"))
EXCHANGES = int(os.environ.get("TESTS_EXCHANGES", "10000"))
ORIGINS, CAP, CLIENTS, PER_CLIENT = 8, 20, 48, 8


def descriptors():
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.stress
@pytest.mark.timeout(280)
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_every_client_gets_its_own_bytes_or_a_visible_failure(
    make_proxy, make_origin
):
    """Eight origins under a cap of twenty sockets, and everything goes wrong at times."""
    print(f"seed {SEED}, {EXCHANGES} exchanges")  # noqa: T201
    rng = random.Random(SEED)  # noqa: S311
    proxy = await make_proxy(
        max_sockets=CAP, max_per_origin=8, response_timeout="1s", drain_timeout="500ms"
    )
    origins = [await make_origin(misbehave) for _ in range(ORIGINS)]
    client = ChaosClient(proxy.listening[0], [origin.url for origin in origins])
    plans = [plan(number, rng, origins=ORIGINS) for number in range(1, EXCHANGES + 1)]
    batches = [plans[i : i + PER_CLIENT] for i in range(0, EXCHANGES, PER_CLIENT)]
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

    assert sum(client.outcomes.values()) == EXCHANGES
    assert client.outcomes["whole"] > EXCHANGES * 0.5
    assert highest <= CAP + ORIGINS  # an origin hears of a close a moment later
    await assert_balanced(proxy)
    opened = sum(stats.opened for stats in proxy.session.stats.origins.values())
    assert sum(origin.accepted for origin in origins) == opened
    await everything_is_given_back(proxy, before)


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
