"""When a patient dial looks again whether a connection has become free."""

import asyncio
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from reuse_proxy.upstream.books import OriginPool
    from reuse_proxy.upstream.connection import UpstreamConnection

_AGAIN_S: Final = 0.002
_LATE_S: Final = 0.002
# The most that a dial waits for a connection in use (design D4).
_MOST_S: Final = 0.05


class Patience:
    """Calls back once a dial has been patient.

    While the bodies of an origin's responses are arriving, one of its connections is
    about to be free: unless a fixed patience is set, a dial then waits a little longer.
    """

    def __init__(
        self,
        over: "Callable[[OriginPool, float], None]",
        *,
        measured: bool,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._over = over
        self.measured = measured
        self._loop = loop

    def wait(self, pool: "OriginPool", at: float) -> None:
        """Look again at a time of the loop's clock, in seconds."""
        self._loop.call_at(at, self._look, pool, at, _received(pool))

    def _look(self, pool: "OriginPool", at: float, received: int) -> None:
        """Look after the loop has looked at its sockets once more.

        Timers come first in a turn of the loop; under load the connection that is
        waited for may have become free already, its last bytes being unread.
        """
        self._loop.call_soon(self._loop.call_soon, self._decide, pool, at, received)

    def _decide(self, pool: "OriginPool", at: float, received: int) -> None:
        # uvloop rounds timers to milliseconds, so this may be called too early.
        now = max(at, self._loop.time())
        # Late, this process has not run meanwhile: nothing could have come.
        moves = _received(pool) != received or now - at > _LATE_S
        if self.measured and moves and pool.waiting(now)[1] < _MOST_S:
            self.wait(pool, now + _AGAIN_S)
        else:
            self._over(pool, now)


def _received(pool: "OriginPool") -> int:
    """Return how many bytes of the bodies that are under way have come."""
    active = cast("set[UpstreamConnection]", pool.active)
    return sum(connection.response.body_bytes for connection in active)
