"""The worker processes of a running proxy."""

import asyncio
import json
import os
from pathlib import Path

from tests.support.scrape import admin_json, samples, scrape
from tests.support.serving import Serving


async def worker_pids(server: Serving) -> list[int]:
    """Return the process ids of the workers that there are."""
    pools = await admin_json(server.admin, "/api/v1/pools")
    return [worker["pid"] for worker in pools["workers"]]


def folder_of(pid: int) -> Path:
    """Return the folder that a worker shares with its supervisor."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return Path(json.loads(words[words.index(b"--worker") + 1])["folder"])


def environment_of(pid: int) -> bytes:
    """Return the variables that a process was started with."""
    return Path(f"/proc/{pid}/environ").read_bytes()


async def gone(pids: list[int]) -> None:
    """Wait until no such process runs any more; a zombie is nobody's child yet."""
    async with asyncio.timeout(20):
        while any(map(_runs, pids)):
            await asyncio.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return False
    return state[0] != "Z"


async def serving_again(server: Serving, *, restarts: int) -> str:
    """Wait until so many workers were restarted, and all serve; return the metrics."""
    async with asyncio.timeout(20):
        while True:
            text = await scrape(server.admin)
            began_anew = samples(text, "worker_restarts_total")[()]
            if began_anew >= restarts and not samples(text, "workers")["starting",]:
                return text
            await asyncio.sleep(0.02)
