"""Starts workers, starts them again, and stops them; listens for them meanwhile."""

import asyncio
import contextlib
import logging
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from reuse_proxy.admin.app import Admin
from reuse_proxy.downstream.access import AccessList
from reuse_proxy.errors import SettingsError
from reuse_proxy.listening import Listeners
from reuse_proxy.parts import files, thresholds
from reuse_proxy.reload import Reloads
from reuse_proxy.tasks import TaskSet
from reuse_proxy.workers.gather import Gatherer, ask
from reuse_proxy.workers.process import WorkerProcess
from reuse_proxy.workers.sockets import WorkerSockets
from reuse_proxy.workers.views import GatheredViews
from reuse_proxy.workers.worker import DRAIN, Assignment, hand_out

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from reuse_proxy.config.address import Address
    from reuse_proxy.config.loading import Loaded
    from reuse_proxy.systemd.activation import Activated

log = logging.getLogger(__name__)

_POLL_S: Final = 5.0
_MAX_SILENT: Final = 4
_RELOAD_S: Final = 10.0
# A worker may take shutdown_timeout, and then a little to close what is left.
_CLOSING_S: Final = 5.0
_LONG_ENOUGH_S: Final = 1.0
_MAX_BACKOFF_S: Final = 30.0


class LostWorkerError(SettingsError):
    """A worker ended before it served, and has not said why."""

    exit_code = 1


class Supervisor:
    """Several workers that serve as one proxy; an async context manager.

    Attributes:
        gatherer: asks the workers, and adds up.
        reloads: the settings in effect for all of them.
        restarts: how many workers were started in the place of one that had ended.
        stopping: nothing more is accepted.
    """

    def __init__(
        self,
        loaded: "Loaded",
        *,
        activated: "Activated",
        read: "Callable[[], Loaded]",
    ) -> None:
        settings = loaded.settings
        self._activated = activated
        self._loaded = loaded
        self._readings = 0
        self._slots: dict[int, WorkerProcess] = {}
        self._launches = 0
        self._tasks = TaskSet()
        self._stack = contextlib.ExitStack()
        self.wanted = settings.workers
        self.restarts = 0
        self.stopping = False
        self.reloads = Reloads(loaded, read=read, apply=self._apply)
        self.gatherer = Gatherer(
            lambda: self.workers, settings=settings, thresholds=thresholds(settings)
        )
        self._sockets = WorkerSockets(workers=self.wanted, backlog=settings.max_clients)
        self._admin = Admin(
            GatheredViews(self), access=AccessList(settings.allow_admin)
        )
        self._admin_listeners = Listeners(
            self._admin.runner(), setting="admin", guard="allow_admin"
        )

    @property
    def workers(self) -> "Sequence[WorkerProcess]":
        """The processes that there are."""
        return [worker for _, worker in sorted(self._slots.items())]

    @property
    def listening(self) -> "list[Address]":
        """Where clients are accepted, with the ports that were really bound."""
        return self._sockets.addresses

    @property
    def admin_address(self) -> "Address":
        """Where the admin listener listens, likewise."""
        return self._admin_listeners.addresses[0]

    @property
    def clients(self) -> int:
        """How many clients were connected when the workers were asked last."""
        return sum(a.open for a in self.gatherer.reporter.ledger.accounts())

    # Start...

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def _start(self) -> None:
        await asyncio.to_thread(files, self._loaded)
        settings, given = self._loaded.settings, self._activated
        if given.listen:
            self._sockets.adopt(given.listen)
        else:
            await self._sockets.open(settings.listen)
        await self._admin_listeners.start(
            [settings.admin],
            [given.admin] if given.admin else [],
            allowed=settings.allow_admin,
        )
        self._folder = _folder(self._stack)
        hand_out(self._loaded, self._folder)
        # What keeps one of them from starting is said once.
        await self._came_up(await self._launch(0))
        rest = [await self._launch(index) for index in range(1, self.wanted)]
        for worker in rest:
            await self._came_up(worker)
        for index in range(self.wanted):
            self._tasks.start(self._keep(index), name=f"keep worker {index + 1}")
        self._tasks.start(self._poll(), name="poll workers")

    async def _came_up(self, worker: WorkerProcess) -> None:
        if await worker.came_up():
            return
        worker.signal(signal.SIGKILL)
        code = await worker.ended()
        kind = SettingsError if code == SettingsError.exit_code else LostWorkerError
        raise kind(f"{worker.name} could not start ({_how(code)}).")

    async def _launch(self, index: int) -> WorkerProcess:
        self._launches += 1
        assignment = Assignment(
            index,
            folder=self._folder,
            admin=str(Path(self._folder) / f"{self._launches}.sock"),
            listen=tuple(sock.fileno() for sock in self._sockets.of(index)),
            ports=tuple(self._sockets.ports | self._admin_listeners.ports),
        )
        worker = WorkerProcess(assignment, reading=self._readings)
        await worker.start()
        self._slots[index] = worker
        return worker

    # Keep...

    async def _keep(self, index: int) -> None:
        """Have one worker, until the end: start it again whenever it has ended."""
        loop = asyncio.get_running_loop()
        delay, began = 0.0, loop.time()
        while True:
            worker = self._slots[index]
            code = await worker.ended()
            self.gatherer.bury(worker)
            if self.stopping:
                return
            worker.close()
            del self._slots[index]
            lived = loop.time() - began
            delay = 0.0 if lived >= _LONG_ENOUGH_S else next_delay(delay)
            log.error(
                "%s has ended (%s); it is started again%s",
                worker.name,
                _how(code),
                f" in {delay:g} s" if delay else "",
            )
            await asyncio.sleep(delay)
            if self.stopping:
                return
            began = loop.time()
            successor = await self._launch(index)
            self.restarts += 1
            if await successor.came_up():
                await self._bring_up_to_date(successor)
            else:
                successor.signal(signal.SIGKILL)

    async def _poll(self) -> None:
        """Read the numbers now and then, and end workers whose event loop hangs.

        Counted in turns: after this process was stopped for a while, nobody is guilty.
        """
        while True:
            await asyncio.sleep(_POLL_S)
            await self.gatherer.refresh()
            for worker in self.workers:
                worker.silent += worker.ready.is_set()
                if worker.silent > _MAX_SILENT:
                    log.error("%s hangs; it is ended", worker.name)
                    worker.signal(signal.SIGKILL)

    # Change...

    async def _apply(self, loaded: "Loaded") -> None:
        """Have all workers go by other settings, which have been found to be good.

        Raises:
            SettingsError: a file that they name cannot be used.
        """
        if self.stopping:
            raise SettingsError("The proxy is stopping; nothing was reloaded.")
        await asyncio.to_thread(files, loaded)
        hand_out(loaded, self._folder)
        self._loaded = loaded
        self._readings += 1
        self._admin.access = AccessList(loaded.settings.allow_admin)
        self.gatherer.configure(loaded.settings, thresholds(loaded.settings))
        serving = [worker for worker in self.workers if worker.ready.is_set()]
        await asyncio.gather(*map(self._bring_up_to_date, serving))

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

    async def drain(self) -> bool:
        """Accept nothing more and let exchanges finish; return whether all of them did."""
        self.stopping = True
        self._sockets.close()
        if self._admin_listeners.adopted:
            # Its successor may be listening there: let it be the one that is asked.
            await self._admin_listeners.stop()
        seconds = self._loaded.settings.shutdown_timeout + _CLOSING_S
        return all(
            await asyncio.gather(*(w.drain(seconds=seconds) for w in self.workers))
        )

    async def stop(self) -> None:
        """End everything at once."""
        self.stopping = True
        self._sockets.close()
        await self._tasks.aclose()
        await asyncio.gather(*(worker.end() for worker in self.workers))
        await self._admin_listeners.aclose()
        self._stack.close()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        await self.stop()

    def __repr__(self) -> str:
        return f"<Supervisor {[*map(str, self.listening)]} {self.workers!r}>"


def next_delay(delay: float) -> float:
    """Return how long to wait after one that did not live long, in seconds."""
    return min(_MAX_BACKOFF_S, 2 * delay or 1.0)


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _folder(stack: contextlib.ExitStack) -> str:
    try:
        return stack.enter_context(tempfile.TemporaryDirectory(prefix="reuse-proxy-"))
    except OSError as exc:
        raise SettingsError(
            f"No folder can be made for the sockets of workers ({exc.strerror});"
            " set TMPDIR to one that this user may write to."
        ) from exc
