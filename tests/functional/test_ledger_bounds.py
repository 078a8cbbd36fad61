"""Thousands of clients and origins: the ledger keeps within its bounds."""

import asyncio
import gc
import sys
import types

import pytest

from tests.support.client import request_bytes
from tests.support.scrape import samples, scrape

CLIENTS, ORIGINS = 2000, 5000
MIB = 1024 * 1024
AT_ONCE = 20
# What leads out of the ledger, to the rest of the program.
SHARED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)


def deep_size(root):
    """Bytes of an object and all that it holds."""
    seen, waiting, size = set(), [root], 0
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, SHARED):
            continue
        seen.add(id(thing))
        size += sys.getsizeof(thing)
        waiting += gc.get_referents(thing)
    return size


async def many(work, total):
    """Do a work with every number, some at once."""
    numbers = iter(range(total))

    async def worker():
        for number in numbers:
            await work(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())


@pytest.mark.timeout(120)
async def test_2000_clients_and_5000_origins_leave_the_ledger_within_its_bounds(
    proxy, origin
):
    """Each client has a name of its own, each origin too; labels, memory and sums."""
    address = proxy.listening[0]

    async def ask(number):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        name = f"User-Agent: client-{number % CLIENTS}-{'x' * 20}/1.0"
        url = f"http://o{number}.test:{origin.port}/x"
        writer.write(request_bytes(url, name))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        writer.close()

    await many(ask, ORIGINS)
    async with asyncio.timeout(10):
        while proxy.server.connections:
            await asyncio.sleep(0.01)

    ledger = proxy.ledger
    accounts = list(ledger.accounts())
    assert len(accounts) == 1001
    assert sum(account.requests for account in accounts) == ORIGINS
    assert sum(account.connections for account in accounts) == ORIGINS
    assert ledger.merged >= CLIENTS - 1000
    # Measured: 0.96 MiB.
    assert deep_size(ledger) < 2 * MIB
    await assert_labels_are_bounded(proxy)


async def assert_labels_are_bounded(proxy):
    """25 clients and 50 origins by name, the rest as one; the sums are whole."""
    text = await scrape(proxy.admin_address)
    opened = samples(text, "client_connections_opened_total")
    assert len(opened) == 26
    assert sum(opened.values()) == ORIGINS
    assert len(samples(text, "client_leak_verdict")) == 26 * 6
    assert len(samples(text, "estimated_connections_saved_total")) == 51
    report = proxy.report()
    assert len(report["origins"]) == 51
    assert sum(entry["requests"] for entry in report["origins"]) == ORIGINS
