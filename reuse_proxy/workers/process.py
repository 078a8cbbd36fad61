"""One worker process, from its start to its end."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reuse_proxy.tasks import TaskSet
from reuse_proxy.workers.worker import DRAIN, END, Assignment

if TYPE_CHECKING:
    from collections.abc import Mapping

# It says that it lives twice in that time; see systemd/notify.py.
WATCHDOG_S: Final = 10.0
_START_S: Final = 60.0
_END_S: Final = 5.0
_OTHERS: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class WorkerProcess:
    """A process that serves by an assignment.

    It is in a session of its own: Ctrl-C is for its supervisor alone, or a client
    could not finish.  Its standard input ends when the supervisor does.

    Attributes:
        ready: it has said that it serves.
        silent: how often it has been found not to have said that it lives.
        buried: it has ended, and what it has counted is kept elsewhere.
        reading: which settings it goes by, or begins with.
        state: what it has told of itself last.
    """

    def __init__(self, assignment: Assignment, *, reading: int) -> None:
        self.assignment = assignment
        self.reading = reading
        self.ready = asyncio.Event()
        self.silent = 0
        self.buried = False
        self.state: Mapping[str, Any] | None = None
        self._told = Path(assignment.admin).with_suffix(".notify")
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it.

        Raises:
            OSError: there is no process, file or memory to be had.
        """
        self._hearing = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._hearing.settimeout(0)
        self._hearing.bind(str(self._told))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._hearing, self._hear)
        try:
            self._process = await self._started()
        except BaseException:
            self.close()
            raise

    async def _started(self) -> asyncio.subprocess.Process:
        self._began = time.monotonic()
        environment = {k: v for k, v in os.environ.items() if k not in _OTHERS}
        environment["NOTIFY_SOCKET"] = str(self._told)
        environment["WATCHDOG_USEC"] = str(int(WATCHDOG_S * 1e6))
        return await asyncio.create_subprocess_exec(
            *own_command(sys.executable, sys.orig_argv, sys.argv),
            *("serve", "--worker", str(self.assignment)),
            stdin=asyncio.subprocess.PIPE,
            env=environment,
            pass_fds=self.assignment.listen,
            start_new_session=True,
        )

    @property
    def name(self) -> str:
        """What it is called in logs."""
        return self.assignment.name

    @property
    def number(self) -> int:
        """Which one it is, from 1."""
        return self.assignment.index + 1

    @property
    def age(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self._began

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running.pid

    @property
    def serving(self) -> bool:
        """Whether it serves, as far as is known."""
        return self.ready.is_set() and self._running.returncode is None

    @property
    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None  # noqa: S101 - it has been started
        return self._process

    def _hear(self) -> None:
        with contextlib.suppress(OSError):
            said = self._hearing.recv(4096).split(b"\n")
            self.silent = 0
            if b"READY=1" in said:
                self.ready.set()

    async def came_up(self) -> bool:
        """Wait until it serves, or has ended; tell which."""
        tasks = TaskSet()
        waiting = [
            tasks.run(self.ready.wait(), name=f"{self.name} is ready"),
            tasks.run(self._running.wait(), name=f"{self.name} has ended"),
        ]
        try:
            await asyncio.wait(
                waiting, timeout=_START_S, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            await tasks.aclose()
        return self.ready.is_set()

    async def ended(self) -> int:
        """Wait for its end; return its exit code, a signal as its negative number."""
        return await self._running.wait()

    def signal(self, number: int) -> None:
        """Send a signal."""
        if self._running.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._running.send_signal(number)

    async def drain(self, *, seconds: float) -> bool:
        """Have it finish exchanges; return whether it could finish all of them."""
        if not self.ready.is_set():
            self.signal(signal.SIGKILL)
            await self.ended()
            return True
        self.signal(DRAIN)
        # The signal itself ends a process only before it serves, or once its event loop
        # has ended: a manager has sent it to all, and this one was quick.
        return await self._end_within(seconds) in (0, -DRAIN)

    async def end(self) -> None:
        """End it at once."""
        if self._process is not None:
            self.signal(END if self.ready.is_set() else signal.SIGKILL)
            await self._end_within(_END_S)
        self.close()

    async def _end_within(self, seconds: float) -> int:
        try:
            async with asyncio.timeout(seconds):
                return await self.ended()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self.ended()

    def close(self) -> None:
        """Hear no more of it."""
        if self._hearing.fileno() < 0:
            return
        self._loop.remove_reader(self._hearing)
        self._hearing.close()
        for path in (self._told, Path(self.assignment.admin)):
            path.unlink(missing_ok=True)

    def __repr__(self) -> str:
        return f"<{self.name} ready={self.ready.is_set()}>"


def own_command(
    executable: str, original: list[str], arguments: list[str]
) -> list[str]:
    """Return the command that this process was started by, without its arguments.

    The same script or module by the same interpreter: what is importable as
    ``reuse_proxy`` from the current folder may be something else.
    """
    return [executable, *original[1 : len(original) - len(arguments) + 1]]
