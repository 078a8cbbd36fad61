"""Log lines that clients and origins can provoke: one a second of each kind.

A kind is a message without its arguments, so that many lines of one kind do not hide
those of another: a flood of malformed requests must not hide an error of our own.
"""

import logging
import re
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL_S: Final = 1.0
# Messages of ours are constants; those of libraries may name an object each.
_MAX_KINDS: Final = 64
_OTHERS: Final = "others"
# From here on a message of asyncio's may name an object, another one each time.
_OBJECT: Final = re.compile(r"[<(\n]")


class Limiter:
    """Tells which line is to be logged, and how many like it were not.

    Args:
        clock: its times are in seconds.
    """

    def __init__(self, clock: "Callable[[], float]" = time.monotonic) -> None:
        self._clock = clock
        # When a line of each kind was logged last, and how many have not been since.
        self._kinds: dict[str, tuple[float, int]] = {}

    def admit(self, kind: str) -> int | None:
        """Return how many lines of a kind were left out; None if this one is, too."""
        now = self._clock()
        if kind not in self._kinds and len(self._kinds) >= _MAX_KINDS:
            kind = _OTHERS
        logged_at, left_out = self._kinds.get(kind, (float("-inf"), 0))
        if now - logged_at < INTERVAL_S:
            self._kinds[kind] = logged_at, left_out + 1
            return None
        self._kinds[kind] = now, 0
        return left_out

    def __repr__(self) -> str:
        return f"<Limiter {len(self._kinds)} kinds>"


class LimitedLog:
    """A logger for what others can provoke."""

    def __init__(self, log: logging.Logger, limiter: Limiter | None = None) -> None:
        self._log = log
        self._limiter = limiter or Limiter()

    def __call__(
        self,
        level: int,
        message: str,
        *args: object,
        error: BaseException | None = None,
    ) -> None:
        """Log a line, or leave it out where one of its kind has just been logged.

        Args:
            level: as in ``logging``.
            message: a constant, which with the type of ``error`` makes the kind.
            args: what belongs into the message.
            error: whose traceback is logged.
        """
        left_out = self._limiter.admit(f"{message} {type(error).__name__}")
        if left_out is None:
            return
        if left_out:
            self._log.log(level, "%d similar lines left out", left_out)
        self._log.log(level, message, *args, exc_info=error)


class LimitFilter(logging.Filter):
    """Limits a logger that is not ours: asyncio's, which names failing callbacks."""

    def __init__(self, limiter: Limiter | None = None) -> None:
        super().__init__()
        self._limiter = limiter or Limiter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a record through, with a word on those that were not."""
        message = str(record.msg)
        left_out = self._limiter.admit(_OBJECT.split(message, maxsplit=1)[0])
        if left_out:
            record.msg = f"{message}\n{left_out} similar lines left out"
        return left_out is not None
