"""Listening sockets that were opened before this process: sd_listen_fds(3).

They outlive it: what connects while no process serves waits in the socket's backlog,
so that a restart refuses nobody.  A socket with the name ``admin`` is the admin
listener's, every other one the proxy's.
"""

import contextlib
import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Final, Self

from reuse_proxy.errors import SettingsError

FIRST_FD: Final = 3
ADMIN: Final = "admin"
_PID, _COUNT, _NAMES = "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"
_MAX_DIGITS: Final = 4
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


@dataclass(frozen=True, slots=True)
class Activated:
    """The sockets by what they are for.

    Attributes:
        ports: where the same service listens otherwise, in another process.
        supervised: this process is one of several, which another one adds up.
    """

    listen: tuple[socket.socket, ...] = ()
    admin: socket.socket | None = None
    ports: frozenset[int] = frozenset()
    supervised: bool = False

    @classmethod
    def take(
        cls, environ: MutableMapping[str, str], *, first_fd: int = FIRST_FD
    ) -> Self:
        """Take the sockets that the environment tells of, and tell no child of them.

        Raises:
            SettingsError: one of them is of no use, or the variables are not whole.
        """
        given = {name: environ.pop(name, "") for name in (_PID, _COUNT, _NAMES)}
        if given[_PID] != str(os.getpid()):
            return cls()
        count = given[_COUNT]
        if not count.isdecimal() or len(count) > _MAX_DIGITS:
            raise SettingsError(
                f"{_COUNT} = {count!r} (in the environment) is no number of sockets;"
                " start the service from a socket unit, or without this variable."
            )
        names = [*given[_NAMES].split(":"), *[""] * int(count)]
        with contextlib.ExitStack() as refused:
            sockets = [
                (name, refused.enter_context(_socket(first_fd + at, name)))
                for at, name in enumerate(names[: int(count)])
            ]
            admin = _single([sock for name, sock in sockets if name == ADMIN])
            refused.pop_all()
        listen = tuple(sock for name, sock in sockets if name != ADMIN)
        return cls(listen, admin)


def _single(sockets: list[socket.socket]) -> socket.socket | None:
    if len(sockets) > 1:
        raise SettingsError(
            f"{len(sockets)} sockets with the name {ADMIN} were passed ({_NAMES});"
            " the admin listener takes one: give FileDescriptorName=admin to one alone."
        )
    return sockets[0] if sockets else None


def _socket(fd: int, name: str) -> socket.socket:
    """Take over one file descriptor."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError as exc:
        raise _useless(fd, name, "is no socket") from exc
    problem = _problem(sock)
    if problem is not None:
        sock.close()
        raise _useless(fd, name, problem)
    sock.settimeout(0)
    os.set_inheritable(fd, False)  # noqa: FBT003 - the library's
    return sock


def _problem(sock: socket.socket) -> str | None:
    if sock.family not in _FAMILIES or sock.type != socket.SOCK_STREAM:
        return "is not for TCP or UNIX streams"
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "does not listen"
    return None


def _useless(fd: int, name: str, problem: str) -> SettingsError:
    called = f", {name}" if name else ""
    return SettingsError(
        f"File descriptor {fd}{called} ({_COUNT}, in the environment) {problem};"
        " pass sockets of a unit with ListenStream= and Accept=no."
    )
