"""A resolver for tests: names below .test, changed at will."""

import socket
from typing import TYPE_CHECKING

from aiohttp.abc import AbstractResolver, ResolveResult

if TYPE_CHECKING:
    import asyncio


class Names(AbstractResolver):
    """Resolves from a table; everything else below .test is loopback."""

    def __init__(self) -> None:
        self.table: dict[str, list[str]] = {}
        self.lookups: list[str] = []
        self.hold: asyncio.Event | None = None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Look a name up; waits for `hold` where it is set."""
        self.lookups.append(host)
        if self.hold is not None:
            await self.hold.wait()
        addresses = self.table.get(host)
        if addresses is None:
            if not host.endswith((".test", "localhost")):
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            addresses = ["127.0.0.1"]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""
