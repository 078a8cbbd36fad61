"""What a service manager is told, received on a real socket."""

import asyncio
import contextlib
import os
import socket

import pytest

from reuse_proxy.systemd.notify import Notifier


@pytest.fixture
def manager(tmp_path):
    """A manager's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(5)
        yield sock


def told(manager):
    """Receive one message as its lines."""
    return manager.recv(4096).decode().split("\n")


async def test_it_says_when_it_is_ready_and_when_it_stops(manager):
    """With a sentence that `systemctl status` shows."""
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.getsockname()})

    notifier.ready("listening on 127.0.0.1:4128")
    notifier.stopping("finishing exchanges")

    assert told(manager) == ["READY=1", "STATUS=listening on 127.0.0.1:4128"]
    assert told(manager) == ["STOPPING=1", "STATUS=finishing exchanges"]


async def test_a_reload_tells_when_it_began(manager):
    """In microseconds of the monotonic clock, as sd_notify(3) asks."""
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.getsockname()})

    notifier.reloading()
    notifier.ready("again")

    first, second = told(manager)
    assert first == "RELOADING=1"
    assert int(second.removeprefix("MONOTONIC_USEC=")) > 0
    assert told(manager)[0] == "READY=1"


async def test_the_watchdog_is_fed_from_the_loop_until_the_end(manager):
    """Twice in its time at least; then no more."""
    notifier = Notifier.from_environment(
        {
            "NOTIFY_SOCKET": manager.getsockname(),
            "WATCHDOG_USEC": "20000",
            "WATCHDOG_PID": str(os.getpid()),
        }
    )
    notifier.ready("ready")
    assert told(manager)[0] == "READY=1"

    heard = [await asyncio.to_thread(told, manager) for _ in range(3)]
    notifier.close()
    manager.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while told(manager):
            pass  # what was sent before the end

    assert heard == [["WATCHDOG=1"]] * 3
    await asyncio.sleep(0.05)  # nothing tells that nothing comes
    with pytest.raises(BlockingIOError):
        told(manager)


@pytest.mark.parametrize(
    "environ",
    [{"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {}],
)
async def test_a_watchdog_of_another_process_is_not_fed(manager, environ):
    """Nor one without a time."""
    address = {"NOTIFY_SOCKET": manager.getsockname()}
    notifier = Notifier.from_environment(address | environ)
    notifier.ready("ready")
    assert told(manager)[0] == "READY=1"

    manager.settimeout(0)
    with pytest.raises(BlockingIOError):
        told(manager)
    notifier.close()


async def test_an_abstract_address_begins_with_an_at_sign():
    """As a container's manager gives it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0reuse-proxy-test-{os.getpid()}")
        sock.settimeout(5)
        name = f"@reuse-proxy-test-{os.getpid()}"

        Notifier.from_environment({"NOTIFY_SOCKET": name}).ready("ready")

        assert told(sock)[0] == "READY=1"


async def test_without_a_manager_nothing_is_sent():
    """Nor does one that has gone do any harm."""
    Notifier.from_environment({}).ready("ready")
    Notifier.from_environment({"NOTIFY_SOCKET": "/nowhere/at/all"}).ready("ready")
