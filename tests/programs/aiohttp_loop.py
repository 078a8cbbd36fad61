"""Open an aiohttp session for each request: python aiohttp_loop.py URL N."""

import asyncio
import sys

import aiohttp


async def ask(url: str, count: int) -> None:
    """Ask so many times, and print each body."""
    for _ in range(count):
        async with (
            aiohttp.ClientSession(trust_env=True) as session,
            session.get(url, raise_for_status=True) as response,
        ):
            print(await response.text())  # noqa: T201


asyncio.run(ask(sys.argv[1], int(sys.argv[2])))
