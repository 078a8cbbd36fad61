"""Telling a service manager how the service is: sd_notify(3).

Without one (no NOTIFY_SOCKET) nothing is sent.  The watchdog is fed by the event loop
itself, so a loop that hangs is found out, and the process restarted.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Mapping
from typing import Final, Self

# A manager kills after WATCHDOG_USEC: told twice in that time (sd_watchdog_enabled(3)).
_TELLINGS: Final = 2


class Notifier:
    """Sends states to the manager that started this process, if any."""

    def __init__(self, address: str = "", *, watchdog: float = 0.0) -> None:
        # An "@" stands for the zero byte of an abstract name.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._interval = watchdog / _TELLINGS
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Find the manager, and within how many seconds it wants to hear of us."""
        usec = environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        seconds = int(usec) / 1e6 if usec.isdecimal() and ours else 0.0
        return cls(environ.get("NOTIFY_SOCKET", ""), watchdog=seconds)

    def ready(self, status: str) -> None:
        """Say that requests are served, and keep saying that we live."""
        self._send("READY=1", f"STATUS={status}")
        if self._interval and self._timer is None:
            self._feed(asyncio.get_running_loop())

    def reloading(self) -> None:
        """Say that settings are being read; :meth:`ready` ends that."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def stopping(self, status: str) -> None:
        """Say that exchanges are finishing; the watchdog goes on meanwhile."""
        self._send("STOPPING=1", f"STATUS={status}")

    def close(self) -> None:
        """Say nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _feed(self, loop: asyncio.AbstractEventLoop) -> None:
        self._send("WATCHDOG=1")
        self._timer = loop.call_later(self._interval, self._feed, loop)

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # A manager that has gone or does not read is no reason to fail.
        with contextlib.suppress(OSError), self._socket() as sock:
            sock.sendto("\n".join(lines).encode(), self._address)

    @staticmethod
    def _socket() -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        sock.settimeout(0)
        return sock
