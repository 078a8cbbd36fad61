"""The access log of a proxy in this process, read from the file it goes to."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from reuse_proxy.lines import Lines
from reuse_proxy.service import Service
from tests.support.books import settled

# The columns of the text form that have no spaces; the client is what follows.
COLUMNS = 13


class AccessFile:
    """A file of lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: Lines | None = None

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Lines]:
        """Write to it, while a proxy runs."""
        with self.path.open("ab", buffering=0) as file:
            async with Lines(file.fileno(), name="the test's access log") as lines:
                self.lines = lines
                yield lines

    async def raw(self, count: int) -> list[bytes]:
        """Wait for so many lines, and return all that there are then."""
        async with asyncio.timeout(10):
            while self.path.read_bytes().count(b"\n") < count:
                await asyncio.sleep(0.01)
        assert self.lines is not None
        while self.lines.held:
            await asyncio.sleep(0.01)
        return self.path.read_bytes().splitlines(keepends=True)

    async def entries(self, count: int) -> list[Any]:
        """Return so many lines of JSON; there must not be more."""
        entries = [json.loads(line) for line in await self.raw(count)]
        assert len(entries) == count, entries
        return entries

    async def all_entries(self, service: Service) -> list[Any]:
        """Return every line, once all clients have left and nothing is under way."""
        async with asyncio.timeout(10):
            while service.server.connections:
                await asyncio.sleep(0.01)
        await settled(service)
        return [json.loads(line) for line in await self.raw(0)]


def told(entry: dict[str, Any], *keys: str) -> tuple[Any, ...]:
    """Pick fields of an entry."""
    return tuple(entry[key] for key in keys)


def as_metric(entries: list[dict[str, Any]]) -> dict[tuple[str, ...], int]:
    """Count lines as requests_total does: by status class, origin and kind."""
    return dict(
        Counter((f"{e['status'] // 100}xx", e["origin"], e["via"]) for e in entries)
    )
