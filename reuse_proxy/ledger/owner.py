"""Which process of this machine a client is: a sample, looked up off the loop.

A look-up may read what the system has on every process, so it is rationed: all of them
together may use a hundredth of one core.  A client that has left meanwhile is not
found, and one that belongs to another user may be hidden; both are normal.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, NamedTuple

import psutil

from reuse_proxy.ledger.sockdiag import Ends, inode_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Sequence

    from reuse_proxy.ledger.account import Account
    from reuse_proxy.tasks import TaskSet

# CPU seconds per second that look-ups may use, and how much they may save up.
_SHARE: Final = 0.01
_SAVED_S: Final = 0.2
# Not oftener than this, and for a client that is known, hardly ever.
_PAUSE_S: Final = 0.2
_KNOWN_PAUSE_S: Final = 10.0
# Program files: all that is shown of a command line, which may hold secrets.
_SCRIPTS: Final = (
    *(".py", ".pyz", ".js", ".mjs", ".cjs", ".ts", ".rb", ".php", ".pl", ".sh"),
    *(".jar", ".phar", ".lua", ".r", ".R", ".exs"),
)
_MAX_COMMAND: Final = 80


class Owner(NamedTuple):
    """A process: its id, and its program without its arguments."""

    pid: int
    command: str


class Owners:
    """Looks up, now and then, who owns a client connection on loopback."""

    def __init__(self, *, tasks: "TaskSet", loop: "asyncio.AbstractEventLoop") -> None:
        self._tasks = tasks
        self._loop = loop
        self._threads: ThreadPoolExecutor | None = None
        self._busy = False
        self._next = 0.0
        self._credit = _SAVED_S
        self._earned_at = loop.time()
        self.lookups = 0

    def consider(self, account: "Account", of: Ends | int) -> None:
        """Look up whom a new connection belongs to, unless that would cost too much.

        Args:
            account: where to note it.
            of: the connection, or the process where it is known (SO_PEERCRED).
        """
        now = self._loop.time()
        if not self.is_due(account, now):
            return
        self._credit = min(self._credit + (now - self._earned_at) * _SHARE, _SAVED_S)
        self._earned_at = now
        if self._credit <= 0:
            return
        self._busy = True
        self._tasks.start(self._look_up(account, of), name="look up a client")

    def is_due(self, account: "Account", now: float) -> bool:
        """Tell whether a client's process may be looked up now: hardly ever."""
        if self._busy or now < self._next:
            return False
        return not account.processes or now >= self._next + _KNOWN_PAUSE_S

    async def _look_up(self, account: "Account", of: Ends | int) -> None:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, thread_name_prefix="owner")
        try:
            found, cost = await self._loop.run_in_executor(self._threads, _timed, of)
        finally:
            self._busy = False
        self.lookups += 1
        self._credit -= cost
        self._next = self._loop.time() + _PAUSE_S
        if found is not None:
            account.note_process(*found)

    def close(self) -> None:
        """Let the thread end."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def __repr__(self) -> str:
        return f"<Owners {self.lookups} look-ups, {self._credit:.3f} s left>"


def _timed(of: Ends | int) -> tuple[Owner | None, float]:
    start = time.thread_time()
    owner = None
    with suppress(psutil.Error, OSError):
        owner = owner_of(of)
    return owner, time.thread_time() - start


def owner_of(of: Ends | int) -> Owner | None:
    """Find a process by a connection of its, or by its id.

    Raises:
        psutil.Error: it has gone, or is not to be seen.
    """
    pid = of if isinstance(of, int) else _pid_of(of)
    if pid is None:
        return None
    process = psutil.Process(pid)
    return Owner(pid, command_of(process.name(), process.cmdline()))


def _pid_of(ends: Ends) -> int | None:
    if sys.platform != "linux":
        return _pid_by_ports(ends)
    inode = inode_of(ends)
    return _pid_of_inode(inode) if inode else None


def _pid_of_inode(inode: int) -> int | None:
    """Look through the processes, the youngest first: a program in a loop is one."""
    wanted = f"socket:[{inode}]"
    for pid in sorted(psutil.pids(), reverse=True):
        folder = f"/proc/{pid}/fd"
        with suppress(OSError):  # it is another user's, or has ended
            for descriptor in os.listdir(folder):  # noqa: PTH208 - ten times as fast
                with suppress(OSError):
                    if os.readlink(f"{folder}/{descriptor}") == wanted:  # noqa: PTH115
                        return pid
    return None


def _pid_by_ports(ends: Ends) -> int | None:
    for connection in psutil.net_connections("tcp"):
        local, remote = connection.laddr, connection.raddr
        if (
            local
            and remote
            and (local.port, remote.port)
            == (
                ends.client[1],
                ends.proxy[1],
            )
        ):
            return connection.pid
    return None


def command_of(name: str, arguments: "Sequence[str]") -> str:
    """Return a process's program, and the script or module that it runs, if any.

    Nothing else of its arguments: they may be passwords or addresses.
    """
    called = PurePath(arguments[0]).name if arguments else ""
    # A process may have written a sentence in the place of its arguments.
    program = name if not called or " " in called else called
    words = [program, *_script(arguments[1:])]
    text = "".join(c if c.isprintable() else "?" for c in " ".join(words))
    return text[:_MAX_COMMAND]


def _script(arguments: "Sequence[str]") -> "Iterator[str]":
    for index, argument in enumerate(arguments):
        if argument == "-m" and index + 1 < len(arguments):
            yield from ("-m", arguments[index + 1])
            return
        if PurePath(argument).suffix in _SCRIPTS and "://" not in argument:
            yield PurePath(argument).name
            return
