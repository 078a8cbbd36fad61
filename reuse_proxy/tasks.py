"""The one way to start a background task: named, and kept until it ends."""

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine


T = TypeVar("T")


class TaskSet:
    """Background tasks that share one end.

    The event loop keeps only weak references to tasks, so somebody must keep them.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, coroutine: "Coroutine[Any, Any, None]", *, name: str) -> None:
        """Run a coroutine in the background under a name that tells what it does."""
        self.run(coroutine, name=name)  # type: ignore[unused-awaitable]  # kept here

    def run(
        self, coroutine: "Coroutine[Any, Any, T]", *, name: str
    ) -> "asyncio.Task[T]":
        """Start a coroutine like :meth:`start`, for a caller who wants its result."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """Cancel what still runs and wait for its end."""
        # One that is cancelled before its first step would never clean up.
        await asyncio.sleep(0)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def join(self) -> None:
        """Wait for the end of what still runs."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._tasks)

    def __repr__(self) -> str:
        return f"<TaskSet {sorted(task.get_name() for task in self._tasks)}>"
