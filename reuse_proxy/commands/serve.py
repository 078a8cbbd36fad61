"""``reuse-proxy serve``: run in the foreground until a signal says stop."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from reuse_proxy import program
from reuse_proxy.limited import LimitFilter
from reuse_proxy.lines import Lines
from reuse_proxy.service import Service
from reuse_proxy.systemd.activation import Activated
from reuse_proxy.systemd.notify import Notifier
from reuse_proxy.tasks import TaskSet
from reuse_proxy.workers.worker import Assignment

if TYPE_CHECKING:
    from reuse_proxy.config.loading import Loaded
    from reuse_proxy.workers.supervisor import Supervisor

log = logging.getLogger("reuse_proxy")


def run(read: "Callable[[], Loaded]") -> int:
    """Serve; return 0 when every exchange could finish, 1 when some were cut off.

    Args:
        read: reads the settings, now and at each reload.

    Raises:
        SettingsError: they cannot be used.
    """
    return _run(read, None)


def work(text: str) -> int:
    """Serve as the worker of a supervisor, by what that says; return the same.

    Raises:
        SettingsError: a socket or a file cannot be used.
    """
    assignment = Assignment.parse(text)
    return _run(assignment.read, assignment)


def _run(read: "Callable[[], Loaded]", assignment: Assignment | None) -> int:
    program.occupy_standard_streams()
    # Nothing has been read that could be read again; by default it would end us.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    loaded = read()
    name = "" if assignment is None else f"{assignment.name}: "
    logging.basicConfig(
        # What all workers do, their supervisor says.
        level=logging.WARNING if name else logging.INFO,
        stream=sys.stderr,
        format=f"%(asctime)s %(levelname)s {name}%(message)s",
    )
    logging.getLogger("asyncio").addFilter(LimitFilter())
    for warning in loaded.warnings:
        log.warning("%s", warning)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve(loaded, read, assignment))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return uvloop's factory, or asyncio's where there is no uvloop."""
    try:
        import uvloop  # noqa: PLC0415 - not on Windows
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def access_lines() -> contextlib.AbstractAsyncContextManager[Lines | None]:
    """Return where the access log goes: standard output, unless that is closed."""
    if sys.stdout is None:
        return contextlib.nullcontext()
    return Lines(sys.stdout.fileno(), name="the access log")


async def _serve(
    loaded: "Loaded", read: "Callable[[], Loaded]", assignment: Assignment | None
) -> int:
    first, second, again = asyncio.Event(), asyncio.Event(), asyncio.Event()
    manager = Notifier.from_environment(os.environ)
    reloading = TaskSet()
    if assignment is None:
        _obey_signals(first, second, again)
        activated = Activated.take(os.environ)
    else:
        assignment.obey(first, second)
        activated = assignment.activated()
    async with (
        access_lines() as lines,
        _serving(loaded, activated=activated, read=read, lines=lines) as service,
    ):
        manager.ready(_told(service))
        log.info("%s", _told(service))
        reloading.start(_reload(service, manager, again), name="reload")
        # What start-up made stays for good; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        # An exchange leaves no cycles behind: looking for them less often was worth
        # a tenth of its CPU time (make bench-quick).
        gc.set_threshold(20_000, 20, 20)
        await first.wait()
        await reloading.aclose()
        manager.stopping("finishing exchanges")
        log.info(
            "stopping: %d clients may finish within %g s; a second signal ends at once",
            await service.clients(),
            service.reloads.loaded.settings.shutdown_timeout,
        )
        finished = await _drain(service, second)
        log.info("stopped%s", "" if finished else "; some exchanges were cut off")
        manager.close()
        return 0 if finished else 1


def _obey_signals(
    first: asyncio.Event, second: asyncio.Event, again: asyncio.Event
) -> None:
    """Set the events: to stop, to stop at once, to read the settings again."""

    def stop() -> None:
        (second if first.is_set() else first).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, again.set)


def _serving(
    loaded: "Loaded",
    *,
    activated: Activated,
    read: "Callable[[], Loaded]",
    lines: Lines | None,
) -> "Service | Supervisor":
    """Return what serves: this process, or workers of it."""
    if loaded.settings.workers == 1 or activated.supervised:
        return Service(loaded, activated=activated, read=read, lines=lines)
    from reuse_proxy.workers.supervisor import Supervisor  # noqa: PLC0415 - opt-in

    return Supervisor(loaded, activated=activated, read=read)


def _told(service: "Service | Supervisor") -> str:
    listening = ", ".join(map(str, service.listening))
    return f"listening on {listening}; admin on {service.admin_address}"


async def _reload(
    service: "Service | Supervisor", manager: Notifier, again: asyncio.Event
) -> None:
    """Reload whenever asked to; once more for all that ask meanwhile."""
    while True:
        await again.wait()
        again.clear()
        manager.reloading()
        # It has been logged why, whatever it was; the next may succeed.
        with contextlib.suppress(Exception):
            await service.reloads.reload()
        manager.ready(_told(service))


async def _drain(service: "Service | Supervisor", second: asyncio.Event) -> bool:
    """Drain until done, or until a second signal comes."""
    finished = False

    async def drain() -> None:
        nonlocal finished
        finished = await service.drain()
        second.set()

    async with asyncio.TaskGroup() as group:
        draining = group.create_task(drain(), name="drain clients")
        await second.wait()
        draining.cancel()
    return finished
