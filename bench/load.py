"""How proxies are loaded: wrk for many requests, curl for big bodies."""

# ruff: noqa: S603 - the programs are found on PATH and get arguments of ours

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from measure import FailedError, Origin, Sample, cpu_seconds
from peers import BIG_FILE_BYTES, FILES, LOOPBACK, Server, program

CLIENTS = 32
_CLOSE = ("-H", "Connection: close")
_TIMEOUT_S = 10

# What wrk sends is the same to a proxy and to the origin itself: nginx, too, accepts a
# whole URL.  What the origin has is asked for by path, wrk's one argument to a script.
_LUA = """\
wrk.headers["Host"] = "{origin}"
local request_bytes
function init(args)
  request_bytes = wrk.format("GET", "http://{origin}" .. args[1])
end
function request()
  return request_bytes
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\nRESULT {{"requests": %d, "bytes": %d, "seconds": %.6f, "cut": %d,' ..
    ' "errors": %d, "p50_us": %d, "p99_us": %d}}\\n',
    summary.requests, summary.bytes, summary.duration / 1e6, e.read,
    e.connect + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


class Load:
    """The ways to load a proxy; each call is one round."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        self._origin = origin
        self._wrk, self._curl = program("wrk"), program("curl")
        self._script = folder / "proxy.lua"
        self._script.write_text(_LUA.format(origin=origin.authority))

    # Requests...

    def keep_alive(
        self, proxy: Server, seconds: float, clients: int = CLIENTS
    ) -> Sample:
        """Send small requests from clients that keep their connections."""
        command = self._command(proxy, seconds, clients, "/small")
        return self._measure(proxy, _Wrk(command))

    def connection_per_request(self, proxy: Server, seconds: float) -> Sample:
        """Send small requests, each on a connection of its own."""
        command = self._command(proxy, seconds, CLIENTS, "/small", *_CLOSE)
        return self._measure(proxy, _Wrk(command, closing=True))

    def bodies(self, proxy: Server, seconds: float, name: str) -> Sample:
        """Download one of FILES from clients that keep theirs; work is in GB."""
        command = self._command(proxy, seconds, CLIENTS, f"/{name}")
        return self._measure(proxy, _Wrk(command, FILES[name]))

    # Big bodies, over one connection of the client; work is in GB...

    def download(self, proxy: Server, count: int) -> Sample:
        """Download a big file several times."""
        return self._measure(proxy, self._get(proxy, count))

    def tunnel(self, proxy: Server, count: int) -> Sample:
        """Download a big file several times through one CONNECT."""
        return self._measure(proxy, self._get(proxy, count, "--proxytunnel"))

    def upload(self, proxy: Server, count: int, file: Path, sink: Server) -> Sample:
        """Upload a big file several times to a server that reads it."""
        url = f"http://{LOOPBACK}:{sink.port}/[1-{count}]"
        # The wait for 100 Continue would be measured otherwise.
        upload = ["-T", str(file), "-H", "Expect:"]
        return self._measure(proxy, self._run_curl(proxy, "size_upload", upload, url))

    def _get(self, proxy: Server, count: int, *more: str) -> "_Curl":
        # The glob makes curl ask for the file `count` times.
        url = f"http://{self._origin.authority}/big?[1-{count}]"
        return self._run_curl(proxy, "size_download", list(more), url)

    def _run_curl(
        self, proxy: Server, size: str, options: list[str], url: str
    ) -> "_Curl":
        through = ["-x", f"http://{LOOPBACK}:{proxy.port}"]
        form = ["-w", f"%{{http_code}} %{{{size}}} %{{time_total}}\\n"]
        silent = ["-sS", "--noproxy", "", "-o", "/dev/null"]
        return _Curl([self._curl, *silent, *through, *options, *form, url])

    def _command(
        self, proxy: Server, seconds: float, clients: int, path: str, *more: str
    ) -> list[str]:
        # wrk takes whole seconds only.
        options = ["-t", "1", "-c", str(clients), "-d", f"{max(1, round(seconds))}s"]
        url = f"http://{LOOPBACK}:{proxy.port}/"
        return [self._wrk, *options, "-s", str(self._script), *more, url, path]

    def _measure(self, proxy: Server, load: "_Wrk | _Curl") -> Sample:
        if proxy.process.poll() is not None:
            raise FailedError(f"{proxy.name} ended during the benchmark")
        accepted = self._origin.accepted()
        before = cpu_seconds(proxy.process.pid)
        done = load.run()
        used = cpu_seconds(proxy.process.pid) - before
        opened = self._origin.accepted() - accepted
        return Sample(done.work, done.seconds, used, opened, done.p50_us, done.p99_us)


@dataclass(frozen=True)
class _Done:
    work: float
    seconds: float
    p50_us: float = 0.0
    p99_us: float = 0.0


@dataclass(frozen=True)
class _Wrk:
    """Work is in requests, or in GB where bodies have a size."""

    command: list[str]
    size: int = 0
    closing: bool = False

    def run(self) -> _Done:
        output = _run(self.command)
        result = json.loads(output.partition("RESULT ")[2] or "{}")
        requests = result.get("requests")
        if not requests:
            raise FailedError(f"wrk was served nothing: {output.strip()[-200:]}")
        errors = result["errors"]
        # Some close without having said so.  Where each request has its connection,
        # that is one end for each response, and costs nobody anything.
        if not self.closing or abs(result["cut"] - requests) > CLIENTS:
            errors += result["cut"]
        if errors:
            raise FailedError(f"{errors} errors beside {requests} requests")
        if result["bytes"] < requests * self.size:
            raise FailedError(f"wrk got {result['bytes']} bytes in {requests} bodies")
        work = requests * self.size / 1e9 if self.size else requests
        return _Done(work, result["seconds"], result["p50_us"], result["p99_us"])


@dataclass(frozen=True)
class _Curl:
    """curl prints status, bytes and seconds of each transfer of a big file."""

    command: list[str]

    def run(self) -> _Done:
        transfers = [line.split() for line in _run(self.command).splitlines()]
        for status, size, _ in transfers:
            if status != "200" or int(size) != BIG_FILE_BYTES:
                raise FailedError(f"curl moved {size} bytes, with status {status}")
        if not transfers:
            raise FailedError("curl moved nothing")
        seconds = sum(float(seconds) for *_, seconds in transfers)
        return _Done(len(transfers) * BIG_FILE_BYTES / 1e9, seconds)


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise FailedError(f"{Path(command[0]).name} hung for {_TIMEOUT_S} s") from None
    if done.returncode:
        why = (done.stderr or done.stdout).strip()[-300:]
        raise FailedError(f"{Path(command[0]).name} failed: {why}")
    return done.stdout
