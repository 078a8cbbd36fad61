"""The command as a process: started, signalled, and its end as shells tell it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, ClassVar, Final, Self

from reuse_proxy.errors import ReuseProxyError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

# As a shell tells of programs that a signal has ended.
_SIGNALLED: Final = 128

# These end a program; one that comes before the command exists ends us instead.
_FATAL: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
# SIGCONT, SIGTSTP and the like are left alone: a terminal and a shell send them to the
# whole group, and we do not stop the command ourselves.
_PASSED: Final = (*_FATAL, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
# What a terminal sends, and to every process of its foreground group.
_OF_TERMINALS: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH)


class CommandNotFoundError(SettingsError):
    """There is no such command; the process exits with 127, as shells do."""

    exit_code: ClassVar[int] = 127


class CommandNotRunnableError(SettingsError):
    """The command is there and cannot be run: exit code 126."""

    exit_code: ClassVar[int] = 126


class EndedEarlyError(ReuseProxyError):
    """A signal came before the command was started, which it now is not."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.strsignal(number))
        self.exit_code = _SIGNALLED + number


class Relay:
    """Takes our signals while its block lasts, and passes them on to the command."""

    def __init__(self) -> None:
        self._before: dict[int, Callable[[int, FrameType | None], object] | int] = {}
        self._early: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for number in _PASSED:
            before = signal.getsignal(number)
            # Ignored, as nohup does: it stays so, here and in the command.
            if before is not None and before != signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._arrived)
        return self

    def start(
        self, command: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        """Start the command, in our process group and on our standard streams.

        Raises:
            EndedEarlyError: it need not be started any more.
            CommandNotFoundError: there is no such command.
            CommandNotRunnableError: it cannot be run.
        """
        for number in self._early:
            if number in _FATAL:
                raise EndedEarlyError(number)
        process = _started(command, environment)
        self._process = process
        # Those that came since: not even a terminal may have reached the command.
        for number in self._early:
            process.send_signal(number)
        return process

    def _arrived(self, number: int, _: FrameType | None) -> None:
        if self._process is None:
            self._early.append(number)
        elif not (number in _OF_TERMINALS and _in_foreground()):
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def __repr__(self) -> str:
        pid = None if self._process is None else self._process.pid
        return f"<Relay to {pid}, early {self._early}>"


def exit_code(returncode: int) -> int:
    """Return what a shell would exit with: 128 and the signal that ended a process."""
    return _SIGNALLED - returncode if returncode < 0 else returncode


def _started(
    command: Sequence[str], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    # What Python opens is closed at exec (PEP 446); what we were given ourselves, such
    # as make's job server, is the command's as much as ours.
    try:
        return subprocess.Popen(  # noqa: S603 - it is the user's own command
            command, env=environment, close_fds=False, restore_signals=True
        )
    except FileNotFoundError as exc:
        raise CommandNotFoundError(_not_found(command[0])) from exc
    except NotADirectoryError as exc:
        raise CommandNotFoundError(_not_found(command[0])) from exc
    except OSError as exc:
        raise CommandNotRunnableError(
            f"{command[0]} cannot be run: {exc.strerror}."
        ) from exc


def _not_found(name: str) -> str:
    if shutil.which(name):
        return f"{name} cannot be run: the interpreter that it names is missing."
    return f"There is no command {name}; check its name, and PATH."


def _in_foreground() -> bool:
    """Tell whether our group is in the foreground of a terminal.

    A signal does not tell who sent it.  If we are, it was most likely typed, and the
    terminal has sent it to the command as well, which must not get it twice.  If we are
    not, a terminal has nothing to do with it.
    """
    flags = os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        terminal = os.open("/dev/tty", flags)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
