"""Numbers with units: bytes and seconds, read within bounds and printed back."""

import re
from collections.abc import Mapping
from typing import TypeVar

N = TypeVar("N", int, float)

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
DAY = 86400.0

SIZE_UNITS = {"": (1, 1), "KiB": (KIB, 1), "MiB": (MIB, 1), "GiB": (GIB, 1)}
TIME_UNITS = {"": (1, 1), "ms": (1, 1000), "s": (1, 1), "m": (60, 1)}
SHARE_UNITS = {"": (1, 1), "%": (1, 100)}
_SCALED = re.compile(r"(-?[0-9]{1,20}(?:\.[0-9]{1,20})?) ?([A-Za-z%]*)")
_WHOLE = re.compile(r"-?[0-9]{1,20}")


class NotAllowedError(ValueError):
    """A value is refused: which part of it, and what is wrong with that part."""

    def __init__(self, problem: str, value: object) -> None:
        super().__init__(problem)
        self.problem = problem
        self.value = value


def whole(value: object) -> int:
    """Read a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    raise NotAllowedError("is not a whole number", value)


def scaled(value: object, units: Mapping[str, tuple[int, int]], problem: str) -> float:
    """Read a number, scaled by its unit (times, divisor)."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    match = _SCALED.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or match[2] not in units:
        raise NotAllowedError(problem, value)
    times, divisor = units[match[2]]
    return float(match[1]) * times / divisor


def bounded(number: N, low: N, high: N, value: object) -> N:
    """Return the number that `value` stands for, unless it breaks a bound."""
    if number > high:
        raise NotAllowedError("is too large", value)
    if not number >= low:  # not-a-number, which TOML can write, fails here too
        raise NotAllowedError("is too small", value)
    return number


def size_text(size: int) -> str:
    """Print bytes with the largest unit that divides them."""
    for unit, scale in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if size and size % scale == 0:
            return f"{size // scale} {unit}"
    return str(size)


def time_text(seconds: float) -> str:
    """Print whole milliseconds in ms, all other times in s."""
    milliseconds = round(seconds * 1000)
    if 0 < seconds < 1 and milliseconds / 1000 == seconds:
        return f"{milliseconds} ms"
    return f"{seconds!r} s".replace(".0 s", " s")
