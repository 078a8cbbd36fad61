"""What this machine has: how many files may be open, where the home folder is."""

import sys
from collections.abc import Iterator
from pathlib import Path

from reuse_proxy.errors import SettingsError


def default_max_sockets() -> int:
    """Return 512, or a quarter of the limit on open files if that is less."""
    return _share_of_open_files(512, eighths=2)


def default_max_clients() -> int:
    """Return 4096, or five eighths of the limit on open files if that is less."""
    return _share_of_open_files(4096, eighths=5)


def too_many_files(
    max_clients: int, max_sockets: int, *, processes: int = 1
) -> Iterator[str]:
    """Warn of caps that cannot be reached with so few open files in each process."""
    limit = _open_files_limit()
    if limit is not None and max_clients + max_sockets > limit * processes:
        who = "this process" if processes == 1 else f"{processes} workers"
        yield (
            f"max_clients = {max_clients} and max_sockets = {max_sockets} are more than"
            f" the {limit * processes} open files that {who} may have; raise that limit"
            " (ulimit -n) or lower the settings."
        )


def expanded(path: Path) -> Path:
    """Return a path with its ``~`` replaced by the home folder.

    Raises:
        SettingsError: this user has none, as in many a container.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise SettingsError(
            f"{path} is in the home folder, and this user has none; give a whole path."
        ) from None


def _open_files_limit() -> int | None:
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415  # there is none on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _share_of_open_files(most: int, *, eighths: int) -> int:
    limit = _open_files_limit()
    return most if limit is None else max(1, min(most, limit * eighths // 8))
