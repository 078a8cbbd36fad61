"""Look-ups in threads of their own: one that hangs holds up nobody."""

import asyncio
import socket
import threading

import pytest

from reuse_proxy.upstream import resolver
from reuse_proxy.upstream.resolver import SystemResolver


@pytest.fixture
def silent(monkeypatch):
    """A system whose name server never answers for silent names, until released."""
    released, asked = threading.Event(), threading.Semaphore(0)
    real = socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        if host.startswith("silent"):
            asked.release()
            released.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield released
    released.set()


async def hosts(name, family=socket.AF_UNSPEC):
    """Look a name up with a resolver of its own."""
    return {found["host"] for found in await SystemResolver().resolve(name, 0, family)}


async def test_a_name_has_the_addresses_that_the_system_knows():
    """Whatever /etc/hosts or the name server say; localhost is always there."""
    assert await hosts("localhost") & {"127.0.0.1", "::1"}
    assert await hosts("127.0.0.1") == {"127.0.0.1"}


async def test_an_old_spelling_is_what_the_system_makes_of_it():
    """The destination policy looks at the result."""
    assert await hosts("2130706433", socket.AF_INET) == {"127.0.0.1"}


async def test_a_name_that_is_unknown_or_none_at_all_is_an_error():
    """Both are translated by the cache."""
    with pytest.raises(socket.gaierror):
        await hosts("gone.invalid")
    with pytest.raises(UnicodeError):
        await hosts("a..b")


async def test_names_that_hang_hold_up_no_other_name(silent):
    """More of them than any loop's pool has threads."""
    names = SystemResolver()
    async with asyncio.TaskGroup() as group:
        hanging = [
            group.create_task(names.resolve(f"silent{number}.test"))
            for number in range(40)
        ]
        found = await names.resolve("127.0.0.1")
        assert not any(task.done() for task in hanging)
        for task in hanging:
            task.cancel()

    assert [address["host"] for address in found] == ["127.0.0.1"]


async def test_the_number_of_threads_is_bounded(silent, monkeypatch):
    """A place is free again when its thread has ended, not when its caller left."""
    monkeypatch.setattr(resolver, "_MAX_LOOKUPS", 1)
    names = SystemResolver()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await names.resolve("silent.test")
    second = asyncio.get_running_loop().create_task(names.resolve("127.0.0.1"))
    await asyncio.wait([second], timeout=0.05)
    held = not second.done()
    silent.set()

    found = await second

    assert held
    assert found[0]["host"] == "127.0.0.1"
