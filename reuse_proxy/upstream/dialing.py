"""Dials under way: from the pool's decision to a connection that the loop has for good."""

import asyncio
from typing import TYPE_CHECKING, Final

from reuse_proxy.errors import ProxyError, UnavailableError
from reuse_proxy.tasks import TaskSet
from reuse_proxy.upstream.opaque import connection_for

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from reuse_proxy.upstream.books import OriginPool
    from reuse_proxy.upstream.connection import UpstreamConnection
    from reuse_proxy.upstream.dialer import Dialer
    from reuse_proxy.upstream.roles import ConnectionOwner

_OUR_ERROR: Final = "This is an error of reuse-proxy itself; see its log."


class Dialing:
    """Dials in tasks of their own; each ends in ``opened`` or ``failed``, once.

    ``opened`` is told when the dial began, in seconds of the loop, and how many of them
    TCP and TLS took: name look-ups and the loading of authorities are not among these.
    """

    def __init__(
        self,
        dialer: "Dialer",
        owner: "ConnectionOwner",
        *,
        tasks: TaskSet,
        opened: "Callable[[UpstreamConnection, float, float], None]",
        failed: "Callable[[OriginPool, ProxyError], None]",
    ) -> None:
        self._dialer = dialer
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._tasks = tasks
        self._adoptions = TaskSet()
        self._opened = opened
        self._failed = failed

    def start(self, pool: "OriginPool") -> None:
        """Begin to open a connection."""
        self._tasks.start(self._dial(pool), name=f"dial {pool.origin}")

    async def aclose(self) -> None:
        """End what is under way, once the tasks are over that may be cancelled."""
        self._dialer.abandon()
        await self._adoptions.join()

    async def _dial(self, pool: "OriginPool") -> None:
        began = self._loop.time()
        try:
            dialled = await self._dialer.dial(pool.origin)
        except BaseException as exc:
            self._fail(pool, exc)
            if not isinstance(exc, ProxyError):
                raise
        else:
            self._adoptions.start(
                self._adopt(pool, *dialled, began=began), name=f"adopt {pool.origin}"
            )

    async def _adopt(
        self,
        pool: "OriginPool",
        sock: "socket.socket",
        seconds: float,
        *,
        began: float,
    ) -> None:
        """Hand a connected socket over to the loop, which must not be cancelled."""
        try:
            connection, tls_seconds = await self._dialer.attach(
                pool.origin,
                sock,
                lambda: connection_for(pool, self._owner, loop=self._loop),
                spent=seconds,
            )
        except BaseException as exc:
            self._fail(pool, exc)
            if not isinstance(exc, ProxyError):
                raise
            return
        self._opened(connection, began, seconds + tls_seconds)

    def _fail(self, pool: "OriginPool", exc: BaseException) -> None:
        error = exc if isinstance(exc, ProxyError) else ProxyError(_OUR_ERROR)
        if isinstance(exc, asyncio.CancelledError):
            error = UnavailableError("The proxy is stopping.")
        self._failed(pool, error)
