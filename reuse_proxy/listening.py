"""Listeners: addresses that we open, or sockets that were opened for us."""

import errno
import socket
from typing import TYPE_CHECKING

from aiohttp import web

from reuse_proxy.config.address import Address
from reuse_proxy.downstream.socketfile import SocketFile
from reuse_proxy.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reuse_proxy.config.kinds import Network


class Listeners:
    """Where one server listens.

    Attributes:
        addresses: with the ports that were really bound.
        adopted: they were opened by somebody else, and outlive this process.
    """

    def __init__(
        self,
        runner: web.BaseRunner,
        *,
        setting: str,
        guard: str,
        backlog: int = 128,
    ) -> None:
        self._runner = runner
        self._setting = setting
        self._guard = guard
        self._backlog = backlog
        self._files: list[SocketFile] = []
        self.addresses: list[Address] = []
        self.adopted = False

    async def start(
        self,
        addresses: "Sequence[Address]",
        sockets: "Sequence[socket.socket]" = (),
        *,
        allowed: "Sequence[Network]",
    ) -> None:
        """Listen on the sockets where there are any, else on every address.

        Args:
            addresses: from the settings, where it has been seen who may connect.
            sockets: listening ones; beyond loopback, networks must be ``allowed``.
            allowed: who may connect.

        Raises:
            SettingsError: an address cannot be listened on, or a socket must not.
        """
        await self._runner.setup()
        self.adopted = bool(sockets)
        for sock in sockets:
            address = address_of(sock)
            if not address.is_loopback and not allowed:
                raise self._exposed(address)
            await web.SockSite(self._runner, sock, backlog=self._backlog).start()
            self.addresses.append(address)
        for address in () if sockets else addresses:
            self.addresses.append(await self._open(address))

    async def _open(self, address: Address) -> Address:
        before = len(self._runner.addresses)
        try:
            if address.path is not None:
                file = SocketFile(address.path)
                with file.made():
                    await web.UnixSite(
                        self._runner, address.path, backlog=self._backlog
                    ).start()
                self._files.append(file)
                return address
            await web.TCPSite(
                self._runner, address.host, address.port, backlog=self._backlog
            ).start()
        except OSError as exc:
            raise SettingsError(cannot_listen(address, self._setting, exc)) from exc
        return Address(address.host, self._runner.addresses[before][1])

    def _exposed(self, address: Address) -> SettingsError:
        return SettingsError(
            f"The socket {address} that was passed to listen on (LISTEN_FDS) is not"
            f" on a loopback address; set {self._guard}, for example"
            f" {self._guard} = 10.0.0.0/8, to the networks that may connect."
        )

    async def stop(self) -> None:
        """Accept nothing more; at once, so that a successor may listen there."""
        for site in list(self._runner.sites):
            await site.stop()
        for file in self._files:
            file.remove()

    async def aclose(self) -> None:
        """Stop, and end the server."""
        await self.stop()
        await self._runner.cleanup()

    @property
    def ports(self) -> set[int]:
        """The TCP ports."""
        return {address.port for address in self.addresses if address.path is None}


def address_of(sock: socket.socket) -> Address:
    """Tell where a socket listens."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        # An abstract name begins with a zero byte, which people write as "@".
        text = name if isinstance(name, str) else name.decode().replace("\0", "@")
        return Address(path=text)
    return Address(name[0], name[1])


def cannot_listen(address: Address, setting: str, exc: OSError) -> str:
    """Say why, and what to do."""
    if exc.errno == errno.EADDRINUSE:
        return (
            f"{setting} = {address} is in use by a process that listens there; "
            f"stop it, or choose another address with --{setting}."
        )
    cause = exc.strerror or str(exc)
    return (
        f"{setting} = {address} cannot be listened on ({cause}); "
        f"choose another address with --{setting}."
    )
