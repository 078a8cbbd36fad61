"""Sockets that are opened for a process before it starts, as systemd does."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence

from reuse_proxy.config.address import Address
from tests.support.serving import Serving

# Puts the sockets where sd_listen_fds(3) says, names itself, becomes the program.
_LAUNCHER = """
import fcntl, os, sys
fds, names, command = sys.argv[1].split(","), sys.argv[2], sys.argv[3:]
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in fds]
for at, fd in enumerate(high):
    os.dup2(fd, 3 + at)
os.environ |= {
    "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": names
}
os.execv(command[0], command)
"""


def listening(host: str = "127.0.0.1") -> socket.socket:
    """Open a socket that listens on a free port."""
    return socket.create_server((host, 0), backlog=1024)


def address_of(sock: socket.socket) -> Address:
    """Return where a socket listens."""
    host, port = sock.getsockname()[:2]
    return Address(host, port)


def activated_command(
    sockets: Sequence[socket.socket], names: Sequence[str], *flags: str
) -> list[str]:
    """Return the command that starts `serve` with these sockets."""
    fds = ",".join(str(sock.fileno()) for sock in sockets)
    serve = [sys.executable, "-m", "reuse_proxy", "serve", *flags]
    return [sys.executable, "-c", _LAUNCHER, fds, ":".join(names), *serve]


@contextlib.asynccontextmanager
async def activated(
    sockets: Sequence[socket.socket],
    names: Sequence[str],
    *flags: str,
    environment: dict[str, str] | None = None,
) -> AsyncIterator[Serving]:
    """Start the process with sockets; end it by its id."""
    clean = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    process = await asyncio.create_subprocess_exec(
        *activated_command(sockets, names, *flags),
        stderr=asyncio.subprocess.PIPE,
        env=clean | (environment or {}),
        pass_fds=[sock.fileno() for sock in sockets],
    )
    server = Serving(process)
    try:
        yield server
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
