"""The system's resolver: getaddrinfo, in threads that hold up nothing else.

The loop's own threads will not do.  libuv lets two look-ups run at a time, so that two
names whose server is silent would hold up all others and every dial (uvloop asks
getaddrinfo about addresses, too), and a process waits for its pool's threads at exit.
"""

import asyncio
import contextlib
import socket
import threading
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

# A thread that waits for a silent name server costs a stack and little else.
_MAX_LOOKUPS: Final = 64
_FLAGS: Final = socket.AI_ADDRCONFIG


class SystemResolver(AbstractResolver):
    """Looks names up as every other program on this machine does."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(_MAX_LOOKUPS)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name; cancelling leaves its thread to itself.

        Raises:
            OSError: there is none, or no thread to look it up.
            UnicodeError: it cannot be a name.
        """
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def done(results: list[ResolveResult], error: Exception | None) -> None:
            self._free.release()
            if found.done():
                return
            if error is None:
                found.set_result(results)
            else:
                found.set_exception(error)

        def look_up() -> None:
            results: list[ResolveResult] = []
            failure: Exception | None = None
            try:
                results = _look_up(host, port, family)
            except (OSError, UnicodeError) as exc:
                failure = exc
            # The loop may be closed by now: nobody waits for a daemon.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(done, results, failure)

        try:
            threading.Thread(target=look_up, name=f"dns {host}", daemon=True).start()
        except RuntimeError as exc:
            self._free.release()
            raise OSError(None, str(exc)) from exc
        return await found

    async def close(self) -> None:
        """Nothing is held but threads that end by themselves."""


def _look_up(host: str, port: int, family: int) -> list[ResolveResult]:
    found = socket.getaddrinfo(
        host, port, family=family, type=socket.SOCK_STREAM, flags=_FLAGS
    )
    results = []
    for kind, _, proto, _, address in found:
        text = str(address[0])
        scope = address[3] if len(address) > 3 else 0
        results.append(
            ResolveResult(
                hostname=host,
                host=f"{text}%{scope}" if scope else text,
                port=int(address[1]),
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST,
            )
        )
    return results
