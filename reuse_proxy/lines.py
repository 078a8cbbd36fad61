"""Lines on their way to a descriptor that may take none for a while: a pipe, a disk.

The event loop never waits for them: so many bytes are held, a thread writes them in
batches, and what does not fit is dropped and counted.
"""

import asyncio
import contextlib
import errno
import logging
import os
import queue
import select
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

log = logging.getLogger(__name__)

MAX_HELD_BYTES: Final = 1024 * 1024
# Waking the thread costs the loop more than the line: it may take the interpreter.
_BATCH_S: Final = 0.05
_BATCH_BYTES: Final = 64 * 1024
# Whole lines up to this size go into a pipe in one piece, beside those of others.
_PIECE_BYTES: Final = select.PIPE_BUF
_TELL_S: Final = 1.0
_FLUSH_S: Final = 1.0


class Lines:
    """Takes lines without waiting; an async context manager, whose end flushes them.

    Nothing is begun before the first line.

    Args:
        descriptor: where they go; it is not closed.
        name: what they are called in our own log.
        max_held: bytes that may wait to be written.
    """

    def __init__(
        self, descriptor: int, *, name: str, max_held: int = MAX_HELD_BYTES
    ) -> None:
        self._descriptor = descriptor
        self._name = name
        self._max_held = max_held
        self._loop = asyncio.get_running_loop()
        self._batch: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._batches: queue.SimpleQueue[list[bytes] | None] = queue.SimpleQueue()
        # Either is changed by one thread alone, so neither needs a lock.
        self._taken_in = self._unfit = self._batch_bytes = 0
        self._done_with = self._unwritten = 0
        # What the thread knows.
        self._failing = self._torn = False
        self._told, self._told_at = 0, float("-inf")
        self._thread = threading.Thread(
            target=self._write_batches, name="lines", daemon=True
        )

    async def __aenter__(self) -> Self:
        return self

    # The loop's side...

    @property
    def dropped(self) -> int:
        """How many lines were lost: there was no room, or they could not be written."""
        return self._unfit + self._unwritten

    @property
    def held(self) -> int:
        """How many bytes wait."""
        return self._taken_in - self._done_with

    def write(self, line: bytes) -> None:
        """Take one line, its end included; without room it is dropped."""
        size = len(line)
        if self.held + size > self._max_held:
            self._unfit += 1
            return
        self._taken_in += size
        self._batch.append(line)
        self._batch_bytes += size
        if self._batch_bytes >= _BATCH_BYTES:
            self._hand_over()
        elif self._timer is None:
            self._timer = self._loop.call_later(_BATCH_S, self._hand_over)

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        if batch:
            if not self._thread.ident:
                self._thread.start()
            self._batches.put(batch)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        """Write what waits; what nobody takes within a second is given up."""
        self._hand_over()
        if not self._thread.ident:
            return
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join, _FLUSH_S)
        if self._thread.is_alive():
            log.warning(
                "%s was not taken: %d bytes and %d lines were lost",
                self._name,
                self.held,
                self.dropped - self._told,
            )

    # The thread's side...

    def _write_batches(self) -> None:
        while (batch := self._batches.get()) is not None:
            for piece in pieces(batch, _PIECE_BYTES):
                self._write(piece)
                self._done_with += len(piece)
            self._tell()
        self._tell(last=True)

    def _write(self, piece: bytes) -> None:
        """Write some lines; count those that were lost."""
        # A line that was cut off must not spoil the one behind it.
        data = b"\n" + piece if self._torn else piece
        at = 0
        try:
            while at < len(data):
                at += self._write_some(memoryview(data)[at:])
        except OSError as exc:
            rest = data[at:] if at else piece
            self._unwritten += rest.count(b"\n")
            self._torn = data[at - 1 : at] != b"\n" if at else self._torn
            self._fail(exc)
        else:
            self._torn = self._failing = False

    def _write_some(self, data: memoryview) -> int:
        with contextlib.suppress(BlockingIOError):
            return os.write(self._descriptor, data)
        # Whoever shares it may have told it not to block.
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        poll.poll()
        return 0

    def _fail(self, exc: OSError) -> None:
        """Say once why nothing can be written, until something could be again."""
        if not self._failing:
            self._failing = True
            reason = os.strerror(exc.errno or errno.EIO)
            log.error("%s cannot be written (%s)", self._name, reason)

    def _tell(self, *, last: bool = False) -> None:
        """Say how many lines were lost, at most once a second, once some are not."""
        lost, now = self.dropped - self._told, time.monotonic()
        if lost and (last or not (self._failing or now - self._told_at < _TELL_S)):
            self._told, self._told_at = self._told + lost, now
            log.warning("%d lines of %s were lost", lost, self._name)

    def __repr__(self) -> str:
        return f"<Lines of {self._name}: {self.held} bytes held, {self.dropped} lost>"


def pieces(lines: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Join whole lines into pieces of at most so many bytes; a longer line is one."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) > most:
            yield b"".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield b"".join(piece)
