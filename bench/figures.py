"""Which plots the report has; they are drawn by plots.py."""

from dataclasses import dataclass
from enum import Enum, auto

import bodies
import far
import leaks
import overload
import scale
import small
import startup


class Kind(Enum):
    """How a panel shows its numbers."""

    DOTS = auto()  # a line for each subject, a colour for each case
    LINES = auto()  # a line for each subject, over the number that a case begins with
    GRID = auto()  # subjects by cases, numbers in cells


@dataclass(frozen=True)
class Panel:
    """One value of some cases of a section; no cases are all."""

    kind: Kind
    value: str
    cases: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True)
class Plot:
    """A picture of its own; ``title`` is what it shows, for those who cannot see it."""

    section: str
    title: str
    panels: tuple[Panel, ...]

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.section}.svg"


def _dots(value: str, *cases: str, title: str = "") -> Panel:
    return Panel(Kind.DOTS, value, cases, title)


_IDLE = tuple(scale.of(count, "idle client") for count in scale.IDLE)
_ORIGINS = tuple(scale.of(count, "origin") for count in scale.ORIGINS)

PLOTS = (
    Plot(
        small.SECTION,
        "CPU and latency of small requests, by proxy",
        (
            _dots("cpu_us", small.KEPT, small.NEW),
            _dots("p50_us", small.ONE, small.KEPT, small.NEW),
        ),
    ),
    Plot(
        bodies.SECTION,
        "CPU per gigabyte and speed, by proxy",
        (
            _dots("cpu_s_gb", bodies.DOWN_10K, bodies.DOWN, bodies.TUNNEL, bodies.UP),
            _dots("mb_s", bodies.DOWN, bodies.UP),
        ),
    ),
    Plot(
        leaks.SECTION,
        "Connections at the origin for 100 requests, by mistake and by proxy",
        (Panel(Kind.GRID, "connections"),),
    ),
    Plot(
        far.SECTION,
        "Time per request of a leaking client, 40 ms away, by route",
        (_dots("ms", "https", "http"),),
    ),
    Plot(
        scale.SECTION,
        "Memory and CPU per request over idle clients, CPU over origins",
        (
            Panel(Kind.LINES, "pss_mib", _IDLE, "idle clients"),
            Panel(Kind.LINES, "cpu_us", _IDLE, "idle clients"),
            Panel(Kind.LINES, "cpu_us", _ORIGINS, "origins"),
        ),
    ),
    Plot(
        overload.SECTION,
        "How long requests wait that are served, and for how long that is felt",
        (
            _dots("p99_ms", overload.WAITING, overload.BUSY),
            _dots("recovery_s", overload.WAITING, overload.BUSY),
        ),
    ),
    Plot(
        startup.SECTION,
        "Start-up time and resident memory, by proxy",
        (_dots("start_ms"), _dots("rss_worked_mib")),
    ),
)
