"""Say something N times and print the echoes: python aiohttp_echo.py URL N."""

import asyncio
import sys

import aiohttp


async def talk(url: str, count: int) -> None:
    """Send so many messages, one after the other."""
    async with (
        aiohttp.ClientSession(trust_env=True) as session,
        session.ws_connect(url) as socket,
    ):
        for number in range(count):
            await socket.send_str(f"number {number}")
            print(await socket.receive_str(timeout=10))  # noqa: T201


asyncio.run(talk(sys.argv[1], int(sys.argv[2])))
