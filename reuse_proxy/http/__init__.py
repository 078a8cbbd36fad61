"""Rules of HTTP/1.1 as pure functions on bytes: no asyncio, no aiohttp, no I/O."""
