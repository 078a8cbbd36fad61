"""Dials that wait for a busy connection: how long, and for what."""

import asyncio

import pytest

from reuse_proxy.http.target import Origin as Key
from reuse_proxy.upstream.books import OriginPool, Waiter
from reuse_proxy.upstream.patience import Patience
from reuse_proxy.upstream.stats import OriginStats


class Response:
    """A body that is under way."""

    body_bytes = 0


class Busy:
    """A connection in use."""

    def __init__(self):
        self.response = Response()


class Scene:
    """One origin with a busy connection and a waiter."""

    def __init__(self, *, measured):
        loop = asyncio.get_running_loop()
        self.pool = OriginPool(Key("http", "a.test", 80), OriginStats("a"))
        self.busy = Busy()
        self.pool.active.add(self.busy)  # type: ignore[arg-type]  # all that is read
        self.started = loop.time()
        waiter = Waiter(self.pool, since=self.started, max_idle=1.0, wake=lambda: None)
        self.pool.waiters.append(waiter)
        self.over = loop.create_future()
        self.patience = Patience(
            lambda _, now: self.over.set_result(now), measured=measured, loop=loop
        )
        self.loop = loop

    async def waited(self, *, until=float("inf")):
        """Let body bytes arrive until a time; return how long the dial was patient."""

        def arrive():
            self.busy.response.body_bytes += 1
            if self.loop.time() - self.started < until and not self.over.done():
                self.loop.call_later(0.0005, arrive)

        if until:
            arrive()
        self.patience.wait(self.pool, self.started + 0.002)
        async with asyncio.timeout(5):
            return await self.over - self.started


async def test_a_dial_waits_no_longer_where_nothing_arrives():
    """The connection is busy, and nobody knows for how long."""
    assert await Scene(measured=True).waited(until=0) < 0.05


async def test_a_dial_waits_while_a_body_arrives():
    """Its connection is about to be free."""
    assert await Scene(measured=True).waited(until=0.02) >= 0.02


async def test_a_body_without_end_is_not_waited_for():
    """Fifty milliseconds at most (design D4)."""
    assert 0.05 <= await Scene(measured=True).waited() < 2


@pytest.mark.parametrize("until", [0, 0.2])
async def test_a_patience_that_is_set_is_kept(until):
    """Whoever sets it gets it."""
    assert await Scene(measured=False).waited(until=until) < 0.2


async def test_a_loop_that_was_held_up_is_given_time():
    """It has not looked at its sockets meanwhile."""
    scene = Scene(measured=True)
    scene.patience.wait(scene.pool, scene.started + 0.002)
    while scene.loop.time() < scene.started + 0.01:
        pass
    for _ in range(6):
        await asyncio.sleep(0)

    assert not scene.over.done()
    async with asyncio.timeout(5):
        await scene.over
