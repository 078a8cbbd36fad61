"""`reuse-proxy serve` as a process of its own."""

import asyncio
import contextlib
import itertools
import os
import re
import resource
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reuse_proxy.config.address import Address

_READY = re.compile(r"listening on (\S+?)(?:, \S+)*; admin on (\S+)")


@dataclass
class Serving:
    """A running process, its addresses and what it has logged."""

    process: asyncio.subprocess.Process
    listening: Address = field(default_factory=Address)
    admin: Address = field(default_factory=Address)
    log: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    async def ready(self) -> None:
        """Wait for the line that tells the addresses."""
        async with asyncio.timeout(20):
            while line := await self.line():
                if match := _READY.search(line):
                    self.listening = Address.parse(match[1])
                    self.admin = Address.parse(match[2])
                    return
        raise AssertionError(self.log)

    async def line(self) -> str:
        """Read one more line of the log; empty at its end."""
        assert self.process.stderr is not None
        line = (await self.process.stderr.readline()).decode()
        self.log.append(line)
        return line

    async def logged(self, words: str) -> str:
        """Read the log until its last line has these words; return that."""
        async with asyncio.timeout(10):
            while not self.log or words not in self.log[-1]:
                assert await self.line(), self.log
        return self.log[-1]

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def forbid_more_files(self) -> None:
        """Set its limit on open files to the lowest number that is free."""
        taken = {int(path.name) for path in Path(f"/proc/{self.pid}/fd").iterdir()}
        limit = next(number for number in itertools.count() if number not in taken)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (limit, limit))

    async def exit_code(self) -> int:
        """Wait for its end, reading the log."""
        async with asyncio.timeout(20):
            while await self.line():
                pass
            return await self.process.wait()


@contextlib.asynccontextmanager
async def serving(*flags: str, **options: Any) -> AsyncIterator[Serving]:
    """Start the process as `starting` does, and wait until it is ready."""
    async with starting(*flags, **options) as server:
        await server.ready()
        yield server


@contextlib.asynccontextmanager
async def starting(
    *flags: str,
    program: tuple[str, ...] = ("-m", "reuse_proxy"),
    stdout: int | None = None,
    own_group: bool = False,
) -> AsyncIterator[Serving]:
    """Start the process on free ports; end it by its id."""
    environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *program, "serve"),
        *("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *flags),
        stdout=stdout,
        start_new_session=own_group,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    server = Serving(process)
    try:
        yield server
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
