"""Listening sockets for several workers, which outlive each of them.

On TCP each worker has its own, and the kernel spreads connections over them
(SO_REUSEPORT); what was connected to one whose worker has died waits in its backlog for
the successor.  A UNIX socket, or one that was opened for us, is shared by all.
"""

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Self

from reuse_proxy.config.address import Address
from reuse_proxy.downstream.socketfile import SocketFile
from reuse_proxy.errors import SettingsError
from reuse_proxy.listening import address_of, cannot_listen

if TYPE_CHECKING:
    from collections.abc import Iterable


class WorkerSockets:
    """So many sockets for each address.

    Attributes:
        addresses: with the ports that were really bound.
    """

    def __init__(self, *, workers: int, backlog: int) -> None:
        self._workers = workers
        self._backlog = backlog
        self._groups: list[list[socket.socket]] = []
        self._files: list[SocketFile] = []
        self._stack = contextlib.ExitStack()
        self.addresses: list[Address] = []

    async def open(self, addresses: "Iterable[Address]") -> Self:
        """Listen on addresses.

        Raises:
            SettingsError: on one of them nobody can.
        """
        for address in addresses:
            try:
                if address.path is not None:
                    self._open_file(address, address.path)
                else:
                    await self._open_port(address)
            except OSError as exc:
                self.close()
                raise SettingsError(cannot_listen(address, "listen", exc)) from exc
        return self

    def adopt(self, sockets: "Iterable[socket.socket]") -> None:
        """Use sockets that listen already."""
        for sock in sockets:
            self._share(self._stack.enter_context(sock))
            self.addresses.append(address_of(sock))

    def of(self, index: int) -> list[socket.socket]:
        """Return the sockets of a worker."""
        return [group[index] for group in self._groups]

    @property
    def ports(self) -> set[int]:
        """The TCP ports."""
        return {address.port for address in self.addresses if address.path is None}

    def close(self) -> None:
        """Listen no more, as far as it is up to this process."""
        self._stack.close()
        for file in self._files:
            file.remove()

    def _open_file(self, address: Address, path: str) -> None:
        file = SocketFile(path)
        sock = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        with file.made():
            # What is there has been found to be a socket that nobody serves.
            Path(path).unlink(missing_ok=True)
            sock.bind(path)
            sock.listen(self._backlog)
        self._files.append(file)
        self._share(sock)
        self.addresses.append(address)

    async def _open_port(self, address: Address) -> None:
        found = await asyncio.get_running_loop().getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        port = address.port
        for family, where in dict.fromkeys((info[0], info[4]) for info in found):
            host, _, *scope = where
            group = [self._bound(family, (host, port, *scope), first=True)]
            port = group[0].getsockname()[1]
            group += [
                self._bound(family, (host, port, *scope), first=False)
                for _ in range(1, self._workers)
            ]
            for sock in group:
                sock.listen(self._backlog)
            self._groups.append(group)
        self.addresses.append(Address(address.host, port))

    def _bound(
        self, family: int, where: tuple[str | int, ...], *, first: bool
    ) -> socket.socket:
        """Bind a socket; the first only if nobody else has the port.

        With SO_REUSEPORT from the start it would share the port with another proxy of
        the same user, and nobody would be told.
        """
        sock = self._stack.enter_context(socket.socket(family))
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if first:
            sock.bind(where)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if not first:
            sock.bind(where)
        return sock

    def _share(self, sock: socket.socket) -> None:
        self._groups.append([sock] * self._workers)
