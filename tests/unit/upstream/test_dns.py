"""Names to addresses: cached, shared, and watched for changes."""

import asyncio

import pytest

from reuse_proxy.errors import UpstreamConnectError, UpstreamTimeoutError
from reuse_proxy.tasks import TaskSet
from reuse_proxy.upstream.dns import NameCache, is_address
from reuse_proxy.upstream.stats import SessionStats


class Cache:
    """A cache over the fixture's names, with what it has told."""

    def __init__(self, names, *, ttl=60.0, timeout=5.0):
        self.changes: list[tuple[str, tuple[str, ...]]] = []
        self.tasks = TaskSet()
        self.stats = SessionStats(max_origins=1)
        self.names = NameCache(
            names,
            ttl=ttl,
            timeout=timeout,
            tasks=self.tasks,
            stats=self.stats,
            changed=lambda *change: self.changes.append(change),
        )


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("fe80::1%1", True),
        ("127.1", False),
        ("2130706433", False),
        ("0x7f.1", False),
        ("a.test", False),
    ],
)
def test_an_address_is_told_from_a_name(host, expected):
    """Odd spellings count as names: the resolver says what they are."""
    assert is_address(host) is expected


async def test_an_address_needs_no_look_up(names):
    """It is its own answer."""
    cache = Cache(names)

    assert await cache.names.resolve("::1") == ("::1",)
    assert names.lookups == []


async def test_a_name_is_looked_up_once_while_it_is_fresh(names):
    """Duplicate addresses are one."""
    names.table["a.test"] = ["127.0.0.1", "127.0.0.2", "127.0.0.1"]
    cache = Cache(names)

    answers = [await cache.names.resolve("a.test") for _ in range(3)]

    assert answers == [("127.0.0.1", "127.0.0.2")] * 3
    assert names.lookups == ["a.test"]
    assert +cache.stats.dns_lookups == {"ok": 1}


async def test_a_stale_name_is_looked_up_again(names):
    """With dns_ttl = 0 each time."""
    cache = Cache(names, ttl=0.0)

    await cache.names.resolve("a.test")
    await cache.names.resolve("a.test")

    assert names.lookups == ["a.test", "a.test"]


async def test_many_who_ask_at_once_share_a_look_up(names):
    """One that leaves does not end it for the others."""
    names.hold = asyncio.Event()
    cache = Cache(names)
    loop = asyncio.get_running_loop()
    asking = [loop.create_task(cache.names.resolve("a.test")) for _ in range(5)]
    await asyncio.sleep(0)

    asking[0].cancel()
    await asyncio.sleep(0)
    names.hold.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)

    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [("127.0.0.1",)] * 4
    assert names.lookups == ["a.test"]


async def test_an_unknown_name_is_a_dns_error_and_remembered_briefly(names):
    """A client in a loop does not flood the name server."""
    cache = Cache(names)

    for _ in range(3):
        with pytest.raises(UpstreamConnectError, match=r"a\.example") as caught:
            await cache.names.resolve("a.example")
        assert (caught.value.status, caught.value.error) == (502, "dns_error")

    assert names.lookups == ["a.example"]
    assert +cache.stats.dns_lookups == {"error": 1}


async def test_a_name_without_addresses_is_a_dns_error(names):
    """Some resolvers answer with an empty list."""
    names.table["a.test"] = []
    cache = Cache(names)

    with pytest.raises(UpstreamConnectError) as caught:
        await cache.names.resolve("a.test")

    assert caught.value.error == "dns_error"


async def test_a_slow_look_up_times_out(names):
    """504, and the next one tries again."""
    names.hold = asyncio.Event()
    cache = Cache(names, timeout=0.05)

    with pytest.raises(UpstreamTimeoutError) as caught:
        await cache.names.resolve("a.test")
    names.hold.set()

    assert (caught.value.status, caught.value.error) == (504, "dns_timeout")
    assert +cache.stats.dns_lookups == {"timeout": 1}
    assert await cache.names.resolve("a.test") == ("127.0.0.1",)


async def test_a_look_up_that_everybody_left_is_not_noisy(names):
    """Its failure is nobody's."""
    names.hold = asyncio.Event()
    cache = Cache(names)
    asking = asyncio.get_running_loop().create_task(cache.names.resolve("a.example"))
    await asyncio.sleep(0)

    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    names.hold.set()
    while_running = len(cache.tasks)
    for _ in range(5):
        await asyncio.sleep(0)

    assert (while_running, len(cache.tasks)) == (1, 0)
    assert +cache.stats.dns_lookups == {"error": 1}


# Changes...


@pytest.mark.parametrize("who", ["refresh", "resolve"])
async def test_a_change_is_told_whoever_finds_it(names, who):
    """The sweep's refresh, or a request that needed the name."""
    cache = Cache(names, ttl=0.0)
    await cache.names.resolve("a.test")
    names.table["a.test"] = ["127.0.0.2"]

    if who == "resolve":
        await cache.names.resolve("a.test")
    else:
        lookup = cache.names.refresh("a.test")
        assert lookup is not None
        await lookup

    assert cache.changes == [("a.test", ("127.0.0.2",))]


async def test_the_same_addresses_in_another_order_are_no_change(names):
    """Name servers rotate them."""
    names.table["a.test"] = ["127.0.0.1", "127.0.0.2"]
    cache = Cache(names, ttl=0.0)
    await cache.names.resolve("a.test")
    names.table["a.test"].reverse()

    await cache.names.resolve("a.test")

    assert cache.changes == []


async def test_a_failed_refresh_is_no_change(names):
    """A name server that is down does not cost connections."""
    cache = Cache(names, ttl=0.0)
    names.table["a.example"] = ["127.0.0.1"]
    await cache.names.resolve("a.example")
    del names.table["a.example"]

    lookup = cache.names.refresh("a.example")
    assert lookup is not None
    with pytest.raises(UpstreamConnectError):
        await lookup

    assert cache.changes == []


async def test_only_stale_names_are_refreshed(names):
    """Neither fresh ones, nor unknown ones, nor one that is being looked up."""
    fresh, stale = Cache(names), Cache(names, ttl=0.0)
    await fresh.names.resolve("a.test")
    await stale.names.resolve("a.test")

    assert fresh.names.refresh("a.test") is None
    assert stale.names.refresh("b.test") is None
    first, second = stale.names.refresh("a.test"), stale.names.refresh("a.test")
    assert first is not None
    assert second is None
    await first


async def test_names_that_nobody_asks_for_are_forgotten(names):
    """Only once there are very many."""
    cache = Cache(names, ttl=0.0)
    await cache.names.resolve("a.test")
    now = asyncio.get_running_loop().time()
    cache.names.sweep(now)
    assert len(cache.names._entries) == 1

    for number in range(10_001):
        cache.names._entries[f"{number}"] = cache.names._entries["a.test"]
    cache.names.sweep(now + 1)

    assert len(cache.names._entries) == 0
