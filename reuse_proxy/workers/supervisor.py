"""What serves in the place of one process: the listeners, a crew, one admin listener."""

import asyncio
import contextlib
import itertools
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
from reuse_proxy.workers.crew import Crew
from reuse_proxy.workers.gather import Gatherer
from reuse_proxy.workers.sockets import WorkerSockets
from reuse_proxy.workers.views import GatheredViews
from reuse_proxy.workers.worker import Assignment, hand_out

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from reuse_proxy.config.address import Address
    from reuse_proxy.config.loading import Loaded
    from reuse_proxy.systemd.activation import Activated

_POLL_S: Final = 5.0
# A worker may take shutdown_timeout, and then a little to close what is left.
_CLOSING_S: Final = 5.0


class Supervisor:
    """Several workers that serve as one proxy; an async context manager.

    Attributes:
        reloads: the settings in effect for all of them.
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
        self._launches = itertools.count(1)
        self._tasks = TaskSet()
        self._stack = contextlib.ExitStack()
        self._gatherer = Gatherer(
            lambda: self._crew.workers,
            settings=settings,
            thresholds=thresholds(settings),
        )
        self._crew = Crew(
            settings.workers, assign=self._assignment, bury=self._gatherer.bury
        )
        self.reloads = Reloads(loaded, read=read, apply=self._apply)
        self._sockets = WorkerSockets(
            workers=settings.workers, backlog=settings.max_clients
        )
        self._admin = Admin(
            GatheredViews(self._crew, self._gatherer, self.reloads),
            access=AccessList(settings.allow_admin),
        )
        self._admin_listeners = Listeners(
            self._admin.runner(), setting="admin", guard="allow_admin"
        )

    @property
    def listening(self) -> "list[Address]":
        """Where clients are accepted, with the ports that were really bound."""
        return self._sockets.addresses

    @property
    def admin_address(self) -> "Address":
        """Where the admin listener listens, likewise."""
        return self._admin_listeners.addresses[0]

    async def clients(self) -> int:
        """Return how many clients are connected."""
        await self._gatherer.refresh()
        return sum(a.open for a in self._gatherer.reporter.ledger.accounts())

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
        await self._crew.start()
        self._tasks.start(self._poll(), name="poll workers")

    def _assignment(self, index: int) -> Assignment:
        return Assignment(
            index,
            folder=self._folder,
            # Each process has a path of its own: its predecessor may be asked still.
            admin=str(Path(self._folder) / f"{next(self._launches)}.sock"),
            listen=tuple(sock.fileno() for sock in self._sockets.of(index)),
            ports=tuple(self._sockets.ports | self._admin_listeners.ports),
        )

    async def _poll(self) -> None:
        """Read the numbers now and then, as a worker may end without a word."""
        while True:
            await asyncio.sleep(_POLL_S)
            await self._gatherer.refresh()
            self._crew.end_the_silent()

    # Change...

    async def _apply(self, loaded: "Loaded") -> None:
        """Have all workers go by other settings.

        Raises:
            SettingsError: a file that they name cannot be used; nothing has changed.
        """
        if self._crew.stopping.is_set():
            raise SettingsError("The proxy is stopping; nothing was reloaded.")
        await asyncio.to_thread(files, loaded)
        hand_out(loaded, self._folder)
        # From here on nothing fails: a worker that does not follow is replaced.
        self._loaded = loaded
        self._admin.access = AccessList(loaded.settings.allow_admin)
        self._gatherer.configure(loaded.settings, thresholds(loaded.settings))
        await self._crew.reread()

    # Stop...

    async def drain(self) -> bool:
        """Accept nothing more and let exchanges finish; return whether all did."""
        # Not before it is known that workers are not to be started again.
        self._crew.stopping.set()
        self._sockets.close()
        if self._admin_listeners.adopted:
            # Its successor may be listening there: let it be the one that is asked.
            await self._admin_listeners.stop()
        limit = self._loaded.settings.shutdown_timeout
        return await self._crew.drain(seconds=limit + _CLOSING_S)

    async def stop(self) -> None:
        """End everything at once."""
        self._crew.stopping.set()
        self._sockets.close()
        await self._tasks.aclose()
        await self._crew.stop()
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
        return f"<Supervisor {[*map(str, self.listening)]} {self._crew!r}>"


def _folder(stack: contextlib.ExitStack) -> str:
    try:
        return stack.enter_context(
            tempfile.TemporaryDirectory(
                prefix="reuse-proxy-workers-", ignore_cleanup_errors=True
            )
        )
    except OSError as exc:
        raise SettingsError(
            f"No folder can be made for the sockets of workers ({exc.strerror});"
            " set TMPDIR to one that this user may write to."
        ) from exc
