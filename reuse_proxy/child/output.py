"""The file that a report is written to: looked at before, written after the command.

A file is replaced at once, behind a link where it leads.  A pipe or a device is
written to, and so is what is open already, such as /dev/stdout.
"""

import contextlib
import fcntl
import io
import json
import os
import re
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reuse_proxy.errors import SettingsError

if TYPE_CHECKING:
    from reuse_proxy.report.document import Report

_DESCRIPTOR: Final = re.compile(r"(?:/dev/fd|/proc/self/fd)/([0-9]{1,6})")
_STREAMS: Final = {"/dev/stdout": 1, "/dev/stderr": 2}
_MAX_LINKS: Final = 40


class ReportFile:
    """Where a report will go."""

    def __init__(self, path: Path) -> None:
        """Look at the file, without changing anything.

        Raises:
            SettingsError: it cannot be written.
        """
        self._path = path
        self._descriptor: int | None = None
        number = _descriptor_of(path)
        try:
            if number is None:
                _check(path)
            else:
                # A copy, since by then the number may mean something else.
                self._descriptor = _copied(number)
        except OSError as exc:
            raise self._unwritable(exc) from exc

    def write(self, report: "Report") -> None:
        """Write a report, in the form that the file's suffix tells.

        Raises:
            SettingsError: it cannot be written.
        """
        data = rendered(report, self._path.suffix).encode()
        try:
            if self._descriptor is not None:
                with open(self._descriptor, "wb") as file:  # noqa: PTH123 - no path
                    self._descriptor = None
                    file.write(data)
            elif self._path.exists() and not self._path.is_file():
                self._path.write_bytes(data)
            else:
                _replace(Path(os.path.realpath(self._path)), data)
        except OSError as exc:
            raise self._unwritable(exc) from exc

    def close(self) -> None:
        """Give up what is open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _unwritable(self, exc: OSError) -> SettingsError:
        return SettingsError(
            f"The report cannot be written to {self._path}: {exc.strerror}."
        )

    def __repr__(self) -> str:
        return f"<ReportFile {self._path}>"


def rendered(report: "Report", suffix: str) -> str:
    """Return a report as JSON, as Markdown, or as plain text for any other suffix."""
    from reuse_proxy.report.markdown import markdown  # noqa: PLC0415 - rich is slow
    from reuse_proxy.report.text import write  # noqa: PLC0415 - likewise

    match suffix.lower():
        case ".json":
            return json.dumps(report, indent=2, ensure_ascii=False) + "\n"
        case ".md":
            return markdown(report)
        case _:
            out = io.StringIO()
            write(report, out)
            return out.getvalue()


def _descriptor_of(path: Path) -> int | None:
    """Return the number of what is open already, if a path or its links lead there.

    To open such a path would begin again at the start of a file.
    """
    text = os.path.abspath(path)  # noqa: PTH100 - not through links
    for _ in range(_MAX_LINKS):
        if text in _STREAMS:
            return _STREAMS[text]
        if match := _DESCRIPTOR.fullmatch(text):
            return int(match[1])
        if not os.path.islink(text):  # noqa: PTH114 - text all along
            return None
        text = os.path.normpath(
            os.path.join(os.path.dirname(text), os.readlink(text))  # noqa: PTH115, PTH118, PTH120
        )
    return None


def _copied(number: int) -> int:
    if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise PermissionError(0, "It is open for reading only")
    return os.dup(number)


def _check(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(0, "It is a folder")
    if path.exists():
        if not os.access(path, os.W_OK):
            raise PermissionError(0, "It may not be changed")
        return
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise FileNotFoundError(0, f"There is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(0, f"Nothing can be made in {folder}")


def _replace(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("xb") as file:
            file.write(data)
        with contextlib.suppress(FileNotFoundError):
            draft.chmod(stat.S_IMODE(path.stat().st_mode))
        draft.replace(path)
    except PermissionError:
        # A folder in which nothing may be made; the file itself may be ours.
        path.write_bytes(data)
    finally:
        draft.unlink(missing_ok=True)
