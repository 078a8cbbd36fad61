"""Files that only their owner may read: made so, and refused when they are not.

What the operating system says against it becomes a SettingsError here.
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import Final

from reuse_proxy import program
from reuse_proxy.errors import SettingsError

_OTHERS: Final = 0o077
_PRIVATE_FOLDER: Final = 0o700
_PRIVATE_FILE: Final = 0o600
# A file, and nothing that waits for its other end when it is opened.
_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def renew(folder: Path) -> str:
    """Return the advice to replace the CA of a folder, as the end of a sentence."""
    return f"run: {program.command()} ca init --replace --ca-dir {_quoted(folder)}"


def make_private_folder(folder: Path) -> None:
    """Make a folder for its owner alone, unless it is there and is so already.

    Raises:
        SettingsError: it cannot be made, or others can enter it.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
    except OSError as exc:
        raise SettingsError(
            f"The folder {folder} cannot be made: {exc.strerror}."
        ) from exc
    check_private_folder(folder)


def check_private_folder(folder: Path) -> None:
    """Refuse a folder that others can enter or that is not ours.

    Raises:
        SettingsError: it says what to do about it.
    """
    try:
        status = folder.stat()
    except FileNotFoundError:
        raise SettingsError(
            f"There is no CA in {folder}; "
            f"run: {program.command()} ca init --ca-dir {_quoted(folder)}"
        ) from None
    except OSError as exc:
        raise _unreadable(folder, exc) from exc
    if not stat.S_ISDIR(status.st_mode):
        raise SettingsError(f"{folder} is not a folder; name another one.")
    _check_private(folder, status, _PRIVATE_FOLDER)


def read_private(path: Path) -> bytes:
    """Read a file, unless others could have.

    Raises:
        SettingsError: it is missing, not ours, or not ours alone.
    """
    with _opened(path) as descriptor:
        # What is open is what is judged; a path may lead elsewhere a moment later.
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SettingsError(f"{path} is not a file; {renew(path.parent)}")
        _check_private(path, status, _PRIVATE_FILE)
        return _read(descriptor)


def read(path: Path) -> bytes:
    """Read a file of the CA that is no secret.

    Raises:
        SettingsError: it cannot be read.
    """
    with _opened(path) as descriptor:
        return _read(descriptor)


def write_new(path: Path, data: bytes, mode: int, *, meant: Path | None = None) -> None:
    """Write a file that must not exist yet; at no moment is it open to more than `mode`.

    Args:
        path: where it goes.
        data: all of it.
        mode: its permission bits.
        meant: the path that an error names, if `path` is a draft of it.

    Raises:
        SettingsError: it exists or cannot be written; nothing is left then.
    """
    try:
        descriptor = os.open(path, _CREATE, _PRIVATE_FILE)
    except FileExistsError:
        raise SettingsError(
            f"{path} exists already; to make a new CA that clients have to trust "
            f"anew, {renew(path.parent)}"
        ) from None
    except OSError as exc:
        raise _unwritable(meant or path, exc) from exc
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
    except BaseException as exc:
        path.unlink(missing_ok=True)
        if isinstance(exc, OSError):
            raise _unwritable(meant or path, exc) from exc
        raise


def write_all_new(files: Mapping[Path, tuple[bytes, int]]) -> None:
    """Write files (data and mode) of which none may exist yet: all of them, or none.

    Raises:
        SettingsError: one exists or cannot be written.
    """
    with contextlib.ExitStack() as undo:
        for path, (data, mode) in files.items():
            write_new(path, data, mode)
            undo.callback(path.unlink, missing_ok=True)
        undo.pop_all()


def replace_all(files: Mapping[Path, tuple[bytes, int]]) -> None:
    """Put files (data and mode) in the place of what is there, each at once.

    Raises:
        SettingsError: one cannot be written. Between the files of a set an end of the
            process can fall; whoever reads them checks that they belong together.
    """
    drafts = {path: path.with_name(f".{path.name}.{_random()}") for path in files}
    try:
        for path, (data, mode) in files.items():
            write_new(drafts[path], data, mode, meant=path)
        for path, draft in drafts.items():
            _move(draft, path)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)


def put(path: Path, data: bytes, mode: int) -> None:
    """Put data in the place of a file, at once; behind a link, where it leads.

    What is there and is no file, such as a pipe or a device, is written to.

    Raises:
        SettingsError: it cannot be written.
    """
    try:
        if not path.exists() or path.is_file():
            replace_all({Path(os.path.realpath(path)): (data, mode)})
        else:
            path.write_bytes(data)
    except OSError as exc:
        raise _unwritable(path, exc) from exc


def _quoted(folder: Path) -> str:
    return quote(str(folder.absolute()))


def _random() -> str:
    return secrets.token_hex(4)


def _move(draft: Path, path: Path) -> None:
    try:
        draft.replace(path)
    except OSError as exc:
        raise _unwritable(path, exc) from exc


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, _READ)
    except FileNotFoundError:
        raise SettingsError(f"{path} is missing; {renew(path.parent)}") from None
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    try:
        yield descriptor
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read()


def _check_private(path: Path, status: os.stat_result, mode: int) -> None:
    user = os.geteuid()
    if status.st_uid != user:
        raise SettingsError(
            f"{path} belongs to user {status.st_uid}, and this process runs as {user}; "
            f"run it as the owner, or name another folder."
        )
    if status.st_mode & _OTHERS:
        raise SettingsError(
            f"{path} is open to others than its owner; if none of them has had it, "
            f"run: chmod {mode:o} {quote(str(path))}"
        )


def _unreadable(path: Path, exc: OSError) -> SettingsError:
    return SettingsError(f"{path} cannot be read: {exc.strerror}.")


def _unwritable(path: Path, exc: OSError) -> SettingsError:
    return SettingsError(f"{path} cannot be written: {exc.strerror}.")
