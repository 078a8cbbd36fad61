"""What this machine allows: how many files the process may have open."""

import sys


def open_files_limit() -> int | None:
    """Return the soft limit on open files; None if there is none."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415  # there is none on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def share_of_open_files(most: int, *, eighths: int) -> int:
    """Return so many eighths of the limit, at least 1, or ``most`` if that is less."""
    limit = open_files_limit()
    return most if limit is None else max(1, min(most, limit * eighths // 8))
