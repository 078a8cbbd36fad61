"""A program on a pseudo-terminal that controls it, as a shell's foreground job."""

import contextlib
import os
import select
import subprocess
import sys

# The standard input is the terminal; a new session has none that controls it yet.
# NOFLSH: a key that sends a signal would throw away what has been written since;
# and no echo of it among what is.
_TAKE_TERMINAL = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
modes = termios.tcgetattr(0)
modes[3] = modes[3] & ~termios.ECHO | termios.NOFLSH
termios.tcsetattr(0, termios.TCSANOW, modes)
"""
_PATIENCE_S = 20.0


class Terminal:
    """A Python program, what it has written, and its keyboard."""

    def __init__(self, code: str, *arguments: str) -> None:
        self.master, slave = os.openpty()
        self.process = subprocess.Popen(  # noqa: S603 - our own
            [sys.executable, "-c", _TAKE_TERMINAL + code, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.text = ""

    def until(self, words: str) -> None:
        """Read until these words have come."""
        while words not in self.text:
            readable, *_ = select.select([self.master], [], [], _PATIENCE_S)
            assert readable, f"no {words!r} in {self.text!r}"
            self.text += os.read(self.master, 1024).decode()

    def type(self, keys: bytes) -> None:
        """Type."""
        os.write(self.master, keys)

    def end(self) -> int:
        """Read the rest, and return the exit code."""
        with contextlib.suppress(OSError):  # how Linux tells that nobody is left
            while data := os.read(self.master, 1024):
                self.text += data.decode()
        return self.process.wait()

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
