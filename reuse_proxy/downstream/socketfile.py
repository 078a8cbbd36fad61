"""The file of a UNIX socket: claimed from nobody, private, removed by its owner."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path


class SocketFile:
    """The file that a listener makes; only what it has made is removed."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._made: tuple[int, int] | None = None

    @contextlib.contextmanager
    def made(self) -> Iterator[None]:
        """Let the block make the file, so that only this user may connect to it.

        Clients of a UNIX socket have no address to judge them by.

        Raises:
            OSError: somebody serves it (asyncio would replace it), or it is no socket.
        """
        self._refuse_taken()
        mask = os.umask(0o177)
        try:
            yield
        finally:
            os.umask(mask)
        self._made = self._identity()

    def remove(self) -> None:
        """Remove the file, unless a successor has put its own in its place."""
        if self._made is not None and self._identity() == self._made:
            self._path.unlink(missing_ok=True)
        self._made = None

    def _refuse_taken(self) -> None:
        if self._path.exists() and not self._path.is_socket():
            raise FileExistsError(errno.EEXIST, "it is a file, and no socket")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(0)
            if probe.connect_ex(str(self._path)) in (0, errno.EAGAIN):
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino
