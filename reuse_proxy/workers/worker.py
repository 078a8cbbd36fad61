"""What a worker process does differently: it serves its share, for its supervisor.

Its settings come from the supervisor, not from where those came from: a file that has
been changed and not reloaded, or is broken, must not make one worker unlike the others.
"""

import asyncio
import atexit
import dataclasses
import json
import logging
import os
import pickle
import shutil
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from reuse_proxy.config.address import Address
from reuse_proxy.config.shares import shared
from reuse_proxy.errors import SettingsError
from reuse_proxy.systemd.activation import Activated

if TYPE_CHECKING:
    from reuse_proxy.config.loading import Loaded

log = logging.getLogger(__name__)

_STDIN: Final = 0
_SETTINGS: Final = "settings"
# Standard input is the supervisor's pipe, on which nothing ever comes but its end.
DRAIN: Final = signal.SIGTERM
END: Final = signal.SIGINT


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a supervisor tells a worker.

    Attributes:
        index: which worker it is, from 0.
        folder: of the supervisor alone; the settings are in it.
        admin: the path of the UNIX socket to be asked at.
        listen: file descriptors of sockets that listen.
        ports: of the supervisor, which are the worker's own to no request's use.
    """

    index: int
    folder: str
    admin: str
    listen: tuple[int, ...]
    ports: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read it from the command line.

        Raises:
            SettingsError: it is not from a supervisor.
        """
        try:
            values = json.loads(text)
            return cls(
                *(values["index"], values["folder"], values["admin"]),
                listen=tuple(values["listen"]),
                ports=tuple(values["ports"]),
            )
        except (ValueError, TypeError, KeyError):
            raise SettingsError(
                "--worker is what serve tells its workers; give --workers NUMBER."
            ) from None

    def __str__(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @property
    def name(self) -> str:
        """What it is called in logs."""
        return f"worker {self.index + 1}"

    def read(self) -> "Loaded":
        """Return the settings that this worker goes by.

        Raises:
            SettingsError: there are none: the supervisor has gone.
        """
        try:
            plain = _file(self.folder).read_bytes()
        except OSError as exc:
            raise SettingsError(
                f"{self.name} finds no settings in {self.folder} ({exc.strerror})."
            ) from exc
        # Ours alone may write there; as text, some settings do not tell their secrets.
        loaded: Loaded = pickle.loads(plain)  # noqa: S301
        settings = shared(loaded.settings, index=self.index)
        settings = settings.model_copy(update={"admin": Address(path=self.admin)})
        return dataclasses.replace(loaded, settings=settings, warnings=())

    def activated(self) -> Activated:
        """Take over the sockets."""
        sockets = tuple(socket.socket(fileno=number) for number in self.listen)
        for sock in sockets:
            sock.settimeout(0)
            sock.set_inheritable(False)
        return Activated(sockets, ports=frozenset(self.ports), supervised=True)

    def obey(self, drain: asyncio.Event, end: asyncio.Event) -> None:
        """Go by the supervisor's signals, and by its end.

        A manager may send its signal to all processes of a service: two of the same
        are not more than one.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(DRAIN, drain.set)

        def end_at_once() -> None:
            drain.set()
            end.set()

        loop.add_signal_handler(END, end_at_once)

        def left_alone() -> None:
            if not os.read(_STDIN, 1):
                loop.remove_reader(_STDIN)
                log.error("the process that started this one is gone; stopping")
                # At the end: one that is just starting may put its socket there still.
                atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
                drain.set()

        loop.add_reader(_STDIN, left_alone)


def hand_out(loaded: "Loaded", folder: str) -> None:
    """Put settings where workers read them: the whole, or nothing.

    Raises:
        SettingsError: the folder cannot be written to.
    """
    new = _file(folder).with_suffix(".new")
    try:
        new.write_bytes(pickle.dumps(loaded))
        new.replace(_file(folder))
    except OSError as exc:
        raise SettingsError(
            f"The settings cannot be handed to workers: {folder} cannot be written to"
            f" ({exc.strerror}); set TMPDIR to a folder that can."
        ) from exc


def _file(folder: str) -> Path:
    return Path(folder) / _SETTINGS
