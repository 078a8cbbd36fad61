"""What a benchmark measures: CPU and memory of a process group, the origin's accepts."""

import contextlib
import http.client
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from peers import LOOPBACK, Server

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
# Fields of /proc/PID/stat after the name: pgrp; utime, stime; cutime, cstime.
_GROUP, _PARTS, _ENDED_CHILDREN = 2, slice(11, 13), slice(13, 15)
_GONE = (FileNotFoundError, ProcessLookupError)
_KIB = 1024


class FailedError(Exception):
    """A load was not served in full, so that its numbers mean nothing."""


@dataclass(frozen=True)
class Sample:
    """One round of one load through one proxy.

    ``p50_us`` and ``p99_us`` are of the times of single requests, where known.
    """

    work: float
    seconds: float
    cpu_seconds: float
    origin_connections: int
    p50_us: float = 0.0
    p99_us: float = 0.0

    @property
    def cpu(self) -> float:
        """CPU seconds for each unit of work (a request, or a gigabyte)."""
        return self.cpu_seconds / self.work

    @property
    def rate(self) -> float:
        """Units of work a second."""
        return self.work / self.seconds


class Origin:
    """The nginx origin as seen by its own counter of accepted connections."""

    def __init__(self, server: Server) -> None:
        self.authority = f"{LOOPBACK}:{server.port}"
        # Kept open, so that asking does not change the answer.
        self._status = http.client.HTTPConnection(LOOPBACK, server.port, timeout=10)

    def accepted(self) -> int:
        """Return how many connections nginx has accepted so far."""
        self._status.request("GET", "/status")
        text = self._status.getresponse().read().decode("ascii")
        found = re.search(r"^ (\d+) \d+ \d+", text, re.MULTILINE)
        if found is None:
            raise FailedError(f"nginx's stub_status is not understood: {text!r}")
        return int(found.group(1))


def cpu_seconds(leader: int) -> float:
    """Return user and system time of a process group, its ended children included."""
    seconds = 0.0
    for pid, stat in _members(leader):
        with contextlib.suppress(
            OSError
        ):  # it ended meanwhile; its parent has its time
            # The kernel's own clock of a process (CPUCLOCK_SCHED): the ticks of stat
            # are 10 ms, too coarse for a short round.
            seconds += time.clock_gettime((~pid << 3) | 2)
            seconds += sum(map(int, stat[_ENDED_CHILDREN])) * _TICK_S
    return seconds


def user_and_system(leader: int) -> tuple[float, float]:
    """Return the two parts of the CPU time of a process group, in steps of a tick."""
    parts = [map(int, stat[_PARTS]) for _, stat in _members(leader)]
    user, system = (sum(ticks) * _TICK_S for ticks in zip(*parts, strict=True))
    return user, system


def memory_bytes(leader: int) -> tuple[int, int]:
    """Return resident memory of a process group: RSS, and PSS, which shares pages."""
    rss = pss = 0
    for pid, _ in _members(leader):
        with contextlib.suppress(*_GONE):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            sizes = dict(re.findall(r"^(Rss|Pss): +(\d+) kB$", text, re.MULTILINE))
            rss += int(sizes["Rss"]) * _KIB
            pss += int(sizes["Pss"]) * _KIB
    return rss, pss


def _members(leader: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the processes of a group, with the fields of their stat."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            stat = (entry / "stat").read_text()
        except _GONE:
            continue
        fields = stat.rpartition(")")[2].split()
        if int(fields[_GROUP]) == leader:
            yield int(entry.name), fields
