"""`make bench-quick`: CPU per request, side by side with other proxies, in a minute.

wrk and curl load each proxy in turn; nginx is the origin.  The proxies share one
core, everything else has the others.  Rounds are interleaved, so that a slow moment
of the machine meets all proxies.  The table goes to standard output, all samples
to bench/results/.
"""

import argparse
import contextlib
import json
import os
import platform
import signal
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from measure import CLIENTS, FailedError, Load, Origin, Sample
from peers import PROXIES, Server, UnavailableError, nginx, on_cpus, program, version

if TYPE_CHECKING:
    from collections.abc import Callable

_RESULTS = Path(__file__).resolve().parent / "results"
_BIG_FILES = 5
_REFERENCE = "squid"
_INTERRUPTED = 130
_NOTES = {"haproxy": " (fixed upstream)"}
_NO_TUNNELS = ("haproxy",)

# Load, title, unit, factor from seconds.
_COLUMNS = (
    ("keep-alive", f"{CLIENTS} keep-alive clients", "µs/request", 1e6),
    ("new", "new connection per request", "µs/request", 1e6),
    ("big", "100 MB bodies", "s/GB", 1.0),
    ("tunnel", "the same in a tunnel", "s/GB", 1.0),
)
Samples = dict[tuple[str, str], list[Sample]]


def main() -> int:
    """Measure and print; missing programs are named and left out."""
    options = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _compare(options.rounds, options.seconds)
    except (UnavailableError, FailedError) as exc:
        _tell(f"{exc}; nothing was measured")
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="CPU per request, side by side.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each load")
    parser.add_argument("--seconds", type=int, default=2, help="of each wrk round")
    return parser.parse_args()


def _compare(rounds: int, seconds: int) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    proxy_cpu, rest = {cpus[-1]}, set(cpus[:-1]) or set(cpus)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(on_cpus(rest))
        origin_server = stack.enter_context(nginx(folder))
        load = Load(folder, Origin(origin_server))
        proxies: list[Server] = []
        samples: Samples = {}
        for start in PROXIES:
            try:
                with on_cpus(proxy_cpu):
                    server = stack.enter_context(start(folder, origin_server.port))
                samples[server.name, "warm-up"] = [load.keep_alive(server, 1)]
            except (UnavailableError, FailedError) as exc:
                _tell(f"left out: {exc}")
            else:
                proxies.append(server)
        for number in range(rounds):
            _tell(f"round {number + 1} of {rounds}")
            _measure(load, proxies, seconds, samples)
    facts = _facts([*proxies, origin_server], len(cpus))
    _say(_table(proxies, samples, facts))
    _say(f"\nAll samples: {_keep(samples, facts)}")


def _measure(load: Load, proxies: list[Server], seconds: int, samples: Samples) -> None:
    """Add one sample of every load through every proxy."""
    loads: dict[str, Callable[[Server], Sample]] = {
        "keep-alive": lambda proxy: load.keep_alive(proxy, seconds),
        "new": lambda proxy: load.connection_per_request(proxy, seconds),
        "big": lambda proxy: load.big_bodies(proxy, _BIG_FILES),
        "tunnel": lambda proxy: load.tunnel(proxy, _BIG_FILES),
    }
    for name, run in loads.items():
        for proxy in proxies:
            if name == "tunnel" and proxy.name in _NO_TUNNELS:
                continue
            try:
                sample = run(proxy)
            except FailedError as exc:
                _tell(f"failed: {proxy.name}, {name}: {exc}")
            else:
                samples.setdefault((proxy.name, name), []).append(sample)


# Report...


@dataclass(frozen=True)
class _Facts:
    """What the numbers are true of."""

    versions: dict[str, str]
    kernel: str
    cpus: int
    time: str


def _facts(servers: list[Server], cpus: int) -> _Facts:
    versions = {server.name: server.version for server in servers}
    versions["wrk"] = version(program("wrk"), "-v")
    versions["curl"] = version(program("curl"), "--version")
    versions["python"] = platform.python_version()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return _Facts(versions, platform.release(), cpus, now)


def _table(proxies: list[Server], samples: Samples, facts: _Facts) -> str:
    titles = [f"{title}, CPU {unit}" for _, title, unit, _ in _COLUMNS]
    rates = ["requests/s, kept", "requests/s, new", "GB/s", "GB/s, tunnel"]
    lines = [
        _row(["one core", *titles, *rates, "origin connections"]),
        _row(["---"] * (2 + len(titles) + len(rates))),
    ]
    for proxy in proxies:
        of_proxy = [samples.get((proxy.name, load), []) for load, *_ in _COLUMNS]
        reference = [samples.get((_REFERENCE, load), []) for load, *_ in _COLUMNS]
        factors = [factor for *_, factor in _COLUMNS]
        cpu = map(_cpu_cell, of_proxy, reference, factors)
        rate = map(_rate_cell, of_proxy)
        seen = _connections_cell(samples, proxy.name)
        name = proxy.name + _NOTES.get(proxy.name, "")
        lines.append(_row([name, *cpu, *rate, seen]))
    named = ", ".join(f"{k} {v}" for k, v in facts.versions.items())
    kernel = f"Linux {facts.kernel}, {facts.cpus} cores, {facts.time}"
    return "\n".join([*lines, "", _EXPLANATION, f"{named}; {kernel}."])


_EXPLANATION = (
    "CPU is user + system time of the proxy's process group: median (lowest-highest)"
    " of the rounds,\nand its ratio to squid's. Origin connections are nginx's own"
    " count of what it accepted, from the proxy's start on."
)


def _cpu_cell(group: list[Sample], reference: list[Sample], factor: float) -> str:
    if not group:
        return "-"
    values = [sample.cpu * factor for sample in group]
    digits = 0 if factor > 1 else 2
    middle = statistics.median(values)
    spread = f"{min(values):.{digits}f}-{max(values):.{digits}f}"
    text = f"{middle:.{digits}f} ({spread})"
    if reference:
        base = statistics.median(sample.cpu * factor for sample in reference)
        text += f", {middle / base:.2f}x"
    return text


def _rate_cell(group: list[Sample]) -> str:
    if not group:
        return "-"
    rate = statistics.median(sample.rate for sample in group)
    return f"{rate:,.0f}" if rate > 100 else f"{rate:.1f}"


def _connections_cell(samples: Samples, proxy: str) -> str:
    """Return what nginx accepted from a proxy, the warm-up included."""
    rounds = [s for (name, _), group in samples.items() if name == proxy for s in group]
    return str(sum(sample.origin_connections for sample in rounds))


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _keep(samples: Samples, facts: _Facts) -> Path:
    _RESULTS.mkdir(exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = _RESULTS / f"quick-{stamp}.json"
    rounds = [
        {"proxy": proxy, "load": load, "rounds": [asdict(sample) for sample in group]}
        for (proxy, load), group in samples.items()
    ]
    path.write_text(json.dumps({**asdict(facts), "samples": rounds}, indent=1) + "\n")
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _tell(text: str) -> None:
    """Say on standard error how it goes, so that the table can be piped."""
    sys.stderr.write(f"bench-quick: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
