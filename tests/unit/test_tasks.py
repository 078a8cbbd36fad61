"""Background tasks: named, kept, and ended together."""

import asyncio
import contextlib
import gc

from reuse_proxy.tasks import TaskSet


async def test_a_task_is_kept_and_named_until_it_ends():
    """Nobody else holds a reference to it."""
    tasks = TaskSet()
    go = asyncio.Event()
    seen = []

    async def work():
        await go.wait()
        seen.append(True)

    tasks.start(work(), name="some work")
    await asyncio.sleep(0)
    gc.collect()

    assert len(tasks) == 1
    assert "some work" in repr(tasks)
    assert "some work" in [task.get_name() for task in asyncio.all_tasks()]
    go.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(tasks) == 0
    assert seen == [True]


async def test_run_returns_the_task_for_its_result():
    """Unlike start, which returns nothing."""
    tasks = TaskSet()

    async def answer():
        return 42

    result = await tasks.run(answer(), name="answer")

    assert result == 42


async def test_closing_cancels_and_waits_for_the_end():
    """A task's cleanup has run when aclose returns, and its failure stays there."""
    tasks = TaskSet()
    ended = []

    async def work(error):
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(error)
            if error:
                raise ValueError(error)

    tasks.start(work(""), name="one")
    tasks.start(work("broken"), name="two")
    await asyncio.sleep(0)
    await tasks.aclose()

    assert sorted(ended) == ["", "broken"]
    assert len(tasks) == 0


async def test_a_task_that_has_not_begun_cleans_up_too():
    """It is let into its first step before it is cancelled."""
    tasks = TaskSet()
    ended = []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    tasks.start(work(), name="just started")
    await tasks.aclose()

    assert ended == [True]


async def test_closing_twice_or_empty_is_harmless():
    """A set can be closed whatever happened before."""
    tasks = TaskSet()

    await tasks.aclose()
    await tasks.aclose()

    assert len(tasks) == 0


async def test_a_finished_task_is_forgotten():
    """The set does not grow."""
    tasks = TaskSet()

    async def nothing():
        pass

    for number in range(3):
        task = tasks.run(nothing(), name=f"{number}")
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await asyncio.sleep(0)

    assert len(tasks) == 0
