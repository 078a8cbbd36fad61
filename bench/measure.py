"""What a benchmark measures: CPU of a process group, load, the origin's accepts."""

# ruff: noqa: S603 - the programs are found on PATH and get arguments of ours

import http.client
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from peers import BIG_FILE_BYTES, LOOPBACK, Server, program

CLIENTS = 32
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
# Fields of /proc/PID/stat after the name: pgrp; utime, stime, cutime, cstime.
_GROUP, _TIMES = 2, slice(11, 15)

_LUA = """\
wrk.headers["Host"] = "{origin}"
local request_bytes
function init(args)
  request_bytes = wrk.format("GET", "http://{origin}/small")
end
function request()
  return request_bytes
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\nRESULT {{"requests": %d, "seconds": %.6f, "errors": %d}}\\n',
    summary.requests, summary.duration / 1e6,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


class FailedError(Exception):
    """A load was not served in full, so that its numbers mean nothing."""


@dataclass(frozen=True)
class Sample:
    """One round of one load through one proxy."""

    work: float
    seconds: float
    cpu_seconds: float
    origin_connections: int

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
    ticks = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            stat = (entry / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile; its parent has its time
        fields = stat.rpartition(")")[2].split()
        if int(fields[_GROUP]) == leader:
            ticks += sum(map(int, fields[_TIMES]))
    return ticks * _TICK_S


class Load:
    """The ways to load a proxy; each call is one round."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        self._origin = origin
        self._wrk, self._curl = program("wrk"), program("curl")
        self._script = folder / "proxy.lua"
        self._script.write_text(_LUA.format(origin=origin.authority))

    def keep_alive(self, proxy: Server, seconds: float) -> Sample:
        """Send small requests from clients that keep their connections."""
        return self._measure(proxy, self._run_wrk(proxy, seconds))

    def connection_per_request(self, proxy: Server, seconds: float) -> Sample:
        """Send small requests, each on a connection of its own."""
        wrk = self._run_wrk(proxy, seconds, "-H", "Connection: close")
        return self._measure(proxy, wrk)

    def big_bodies(self, proxy: Server, count: int) -> Sample:
        """Download a big file several times over one connection; work is in GB."""
        return self._measure(proxy, self._run_curl(proxy, count))

    def tunnel(self, proxy: Server, count: int) -> Sample:
        """Download a big file several times through one CONNECT; work is in GB."""
        return self._measure(proxy, self._run_curl(proxy, count, "--proxytunnel"))

    def _run_curl(self, proxy: Server, count: int, *more: str) -> "_Curl":
        # The glob makes curl ask for the file `count` times.
        url = f"http://{self._origin.authority}/big?[1-{count}]"
        through = ["-x", f"http://{LOOPBACK}:{proxy.port}", *more]
        form = ["-w", "%{size_download} %{time_total}\n", "-o", "/dev/null"]
        command = [self._curl, "-sS", "--noproxy", "", *through, *form, url]
        return _Curl(command, count)

    def _run_wrk(self, proxy: Server, seconds: float, *more: str) -> "_Wrk":
        # wrk takes whole seconds only.
        options = ["-t", "1", "-c", str(CLIENTS), "-d", f"{max(1, round(seconds))}s"]
        url = f"http://{LOOPBACK}:{proxy.port}/"
        return _Wrk([self._wrk, *options, "-s", str(self._script), *more, url])

    def _measure(self, proxy: Server, load: "_Wrk | _Curl") -> Sample:
        if proxy.process.poll() is not None:
            raise FailedError(f"{proxy.name} ended during the benchmark")
        accepted = self._origin.accepted()
        before = cpu_seconds(proxy.process.pid)
        work, seconds = load.run()
        used = cpu_seconds(proxy.process.pid) - before
        return Sample(work, seconds, used, self._origin.accepted() - accepted)


@dataclass(frozen=True)
class _Wrk:
    command: list[str]

    def run(self) -> tuple[float, float]:
        """Return requests served and seconds."""
        output = _run(self.command)
        result = json.loads(output.partition("RESULT ")[2] or "{}")
        if not result.get("requests") or result["errors"]:
            raise FailedError(f"wrk had errors: {result or output.strip()}")
        return result["requests"], result["seconds"]


@dataclass(frozen=True)
class _Curl:
    command: list[str]
    count: int

    def run(self) -> tuple[float, float]:
        """Return gigabytes received and seconds."""
        lines = [line.split() for line in _run(self.command).splitlines()]
        received = sum(int(size) for size, _ in lines)
        if received != self.count * BIG_FILE_BYTES:
            raise FailedError(f"curl got {received} bytes of {self.count} big files")
        return received / 1e9, sum(float(seconds) for _, seconds in lines)


def _run(command: list[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        raise FailedError(f"{command[0]} failed: {(done.stderr or done.stdout)[-300:]}")
    return done.stdout
