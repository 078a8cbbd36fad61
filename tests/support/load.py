"""Clients that ask all the time, and fail the test if one request is not answered."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from reuse_proxy.config.address import Address
from tests.support.client import Client

_PER_CONNECTION = 20


class Load:
    """Requests for one URL, on kept and on new connections by turns."""

    def __init__(self, proxy: Address, url: str, *, size: int) -> None:
        self._proxy = proxy
        self._url = url
        self._size = size
        self._stop = asyncio.Event()
        self.answered = 0

    @contextlib.asynccontextmanager
    async def running(self, *, clients: int) -> AsyncIterator[None]:
        """Ask while the block runs; every other client keeps its connection."""
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                requests = _PER_CONNECTION if number % 2 else 1
                group.create_task(self._ask(requests), name=f"client {number}")
            yield
            self._stop.set()

    async def more(self, requests: int) -> None:
        """Wait until so many more have been answered."""
        target = self.answered + requests
        async with asyncio.timeout(20):
            while self.answered < target:
                await asyncio.sleep(0.01)

    async def _ask(self, requests: int) -> None:
        while not self._stop.is_set():
            async with Client(self._proxy) as client:
                await self._ask_on(client, requests)

    async def _ask_on(self, client: Client, requests: int) -> None:
        for _ in range(requests):
            response = await client.get(self._url)
            assert (response.status, len(response.body)) == (200, self._size)
            self.answered += 1
            if response.value("Connection") == "close" or self._stop.is_set():
                break
