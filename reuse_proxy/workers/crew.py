"""So many workers: started, started again when one has ended, stopped."""

import asyncio
import logging
import signal
from typing import TYPE_CHECKING, Final

from reuse_proxy.errors import SettingsError
from reuse_proxy.tasks import TaskSet
from reuse_proxy.workers.gather import ask
from reuse_proxy.workers.process import WorkerProcess
from reuse_proxy.workers.worker import DRAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reuse_proxy.workers.worker import Assignment

log = logging.getLogger(__name__)

_RELOAD_S: Final = 10.0
_MAX_SILENT: Final = 4
_LONG_ENOUGH_S: Final = 1.0
_MAX_BACKOFF_S: Final = 30.0


class LostWorkerError(SettingsError):
    """A worker ended before it served, and has not said why."""

    exit_code = 1


class Crew:
    """The workers of a supervisor.

    Args:
        size: how many there are.
        assign: says what the worker of an index is to do, each time anew.
        bury: is told of each that has ended.

    Attributes:
        restarts: how many were started in the place of one that had ended.
        stopping: nothing more is accepted.
    """

    def __init__(
        self,
        size: int,
        *,
        assign: "Callable[[int], Assignment]",
        bury: "Callable[[WorkerProcess], None]",
    ) -> None:
        self.size = size
        self._assign = assign
        self._bury = bury
        self._slots: dict[int, WorkerProcess] = {}
        self._readings = 0
        self._tasks = TaskSet()
        self.restarts = 0
        self.stopping = asyncio.Event()

    @property
    def workers(self) -> "Sequence[WorkerProcess]":
        """The processes that there are."""
        return [worker for _, worker in sorted(self._slots.items())]

    @property
    def serving(self) -> "Sequence[WorkerProcess]":
        """Those of them that serve."""
        return [worker for worker in self.workers if worker.serving]

    async def start(self) -> None:
        """Have all of them serve.

        Raises:
            SettingsError: one of them cannot.
        """
        # What keeps one from starting is said once.
        await self._came_up(await self._launch(0))
        rest = [await self._launch(index) for index in range(1, self.size)]
        for worker in rest:
            await self._came_up(worker)
        for worker in self.workers:
            self._tasks.start(self._keep(worker), name=f"keep {worker.name}")

    async def _came_up(self, worker: WorkerProcess) -> None:
        if await worker.came_up():
            return
        worker.signal(signal.SIGKILL)
        code = await worker.ended()
        kind = SettingsError if code == SettingsError.exit_code else LostWorkerError
        raise kind(f"{worker.name} could not start ({_how(code)}).")

    async def _launch(self, index: int) -> WorkerProcess:
        worker = WorkerProcess(self._assign(index), reading=self._readings)
        await worker.start()
        self._slots[index] = worker
        return worker

    # Keep...

    async def _keep(self, worker: WorkerProcess) -> None:
        """Have one worker, until the end: start it again whenever it has ended."""
        delay = 0.0
        while True:
            code = await worker.ended()
            self._bury(worker)
            if self.stopping.is_set():
                return
            delay = next_delay(delay, lived=worker.age)
            log.error(
                "%s has ended (%s); it is started again in %g s",
                *(worker.name, _how(code), delay),
            )
            worker.close()
            del self._slots[worker.assignment.index]
            successor = await self._successor(worker, delay)
            if successor is None:
                return
            worker = successor
            if await worker.came_up():
                await self._bring_up_to_date(worker)
            else:
                worker.signal(signal.SIGKILL)

    async def _successor(
        self, worker: WorkerProcess, delay: float
    ) -> WorkerProcess | None:
        """Start another process in a worker's place; None if everything stops."""
        while True:
            await asyncio.sleep(delay)
            if self.stopping.is_set():
                return None
            try:
                successor = await self._launch(worker.assignment.index)
            except OSError as exc:
                log.error(  # noqa: TRY400 - the sentence says it all
                    "%s cannot be started: %s", worker.name, exc
                )
                delay = next_delay(delay, lived=0.0)
            else:
                self.restarts += 1
                return successor

    def end_the_silent(self) -> None:
        """End workers whose event loop hangs; to be called now and then.

        Counted in calls: after this process was stopped for a while, nobody is guilty.
        """
        for worker in self.serving:
            worker.silent += 1
            if worker.silent > _MAX_SILENT:
                log.error("%s hangs; it is ended", worker.name)
                worker.signal(signal.SIGKILL)

    # Change...

    async def reread(self) -> None:
        """Have all workers go by settings that have been handed out."""
        self._readings += 1
        await asyncio.gather(*map(self._bring_up_to_date, self.serving))

    async def _bring_up_to_date(self, worker: WorkerProcess) -> None:
        """Have a worker go by the settings in effect; replace one that does not."""
        if worker.reading == self._readings:
            return
        worker.reading = self._readings
        answer = await ask(worker, "/api/v1/reload", method="POST", seconds=_RELOAD_S)
        if answer is None or answer.status != 200:
            log.error("%s did not take other settings; it is replaced", worker.name)
            worker.signal(DRAIN)

    # Stop...

    async def drain(self, *, seconds: float) -> bool:
        """Let exchanges finish within a time; return whether all of them did."""
        self.stopping.set()
        return all(
            await asyncio.gather(*(w.drain(seconds=seconds) for w in self.workers))
        )

    async def stop(self) -> None:
        """End all workers at once."""
        self.stopping.set()
        await self._tasks.aclose()
        await asyncio.gather(*(worker.end() for worker in self.workers))

    def __repr__(self) -> str:
        return f"<Crew {self.workers!r}>"


def next_delay(delay: float, *, lived: float) -> float:
    """Return how long to wait before the next start; everything is in seconds.

    Args:
        delay: how long it was before this one.
        lived: how long this one has lived.
    """
    return 0.0 if lived >= _LONG_ENOUGH_S else min(_MAX_BACKOFF_S, 2 * delay or 1.0)


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
