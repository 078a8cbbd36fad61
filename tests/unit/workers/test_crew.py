"""A crew with real workers: who hangs or cannot start, and how long it is waited."""

import asyncio
import itertools
import os
import signal
import sys

import pytest

from reuse_proxy.config.loading import load
from reuse_proxy.errors import SettingsError
from reuse_proxy.systemd.activation import Activated
from reuse_proxy.workers.crew import LostWorkerError, next_delay
from reuse_proxy.workers.supervisor import Supervisor

FLAGS = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "workers": "2"}


def supervisor(**flags):
    """Return a supervisor that has not started."""
    loaded = load({**FLAGS, **flags}, {})
    return Supervisor(loaded, activated=Activated(), read=lambda: loaded)


@pytest.fixture
def started_by(monkeypatch):
    """Have workers started by another command than the tests'."""

    def become(*words):
        monkeypatch.setattr(sys, "orig_argv", [sys.executable, *words])
        monkeypatch.setattr(sys, "argv", ["reuse-proxy"])

    become("-m", "reuse_proxy")
    return become


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_worker_that_hangs_is_ended_and_replaced(started_by):
    """One that only was not heard of for a while is not."""
    async with supervisor() as served:
        crew = served._crew
        hanging, other = crew.workers
        os.kill(hanging.pid, signal.SIGSTOP)
        for _ in range(5):
            other.silent = 0  # as it is once it has said that it lives
            crew.end_the_silent()
        code = await hanging.ended()
        async with asyncio.timeout(20):
            while crew.restarts < 1 or len(crew.serving) < 2:
                await asyncio.sleep(0.01)

        assert code == -signal.SIGKILL
        assert crew.workers[1] is other
        assert await served.drain()


async def test_a_worker_that_ends_before_it_serves_ends_the_start(started_by):
    """With exit code 1, so that a service manager may try again."""
    started_by("-c", "import os; os.kill(os.getpid(), 9)")

    with pytest.raises(LostWorkerError, match=r"worker 1 .* \(signal 9\)") as lost:
        async with supervisor():
            pass

    assert lost.value.exit_code == 1


async def test_a_worker_that_refuses_its_settings_ends_the_start(started_by):
    """With exit code 2, which says that trying again is of no use."""
    started_by("-c", "raise SystemExit(2)")

    with pytest.raises(SettingsError, match=r"worker 1 .* \(exit code 2\)") as refused:
        async with supervisor():
            pass

    assert refused.value.exit_code == 2


def test_who_does_not_live_long_is_waited_for_longer_each_time():
    """At once after a life of a second; else 1 s, doubling up to 30 s."""
    delays = itertools.accumulate(
        [0.1] * 7, lambda delay, lived: next_delay(delay, lived=lived), initial=0.0
    )

    assert list(delays) == [0, 1, 2, 4, 8, 16, 30, 30]
    assert next_delay(30, lived=1) == 0
