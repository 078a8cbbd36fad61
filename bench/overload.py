"""Four times the load that fits: who waits how long, who is refused, and until when.

The origin works on 8 requests at a time, 50 ms each, so 160 a second fit.  An open loop
sends 640 a second for a while, calm before and after.  Proxies with a queue hold it to
half a second; the others pass everything on.  The other case is a proxy's core: twice
the new connections that it was seen to carry, each with one request.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from crowd import many_files
from load import Load
from measure import FailedError, cpu_seconds
from openloop import Outcome, Plan, play
from peers import (
    LOOPBACK,
    Server,
    Start,
    UnavailableError,
    configured,
    program,
    reuse_proxy_of,
    squid,
)
from peers_config import HAPROXY
from records import Record
from setting import Bench
from slow import most_open, slow_origin
from turns import DIRECT, OURS, Values, add_round, origin
from ways import alone

TITLE = "Overload: four times what fits"
SECTION = "overload"
WAITING = "an origin that is too slow"
BUSY = "a proxy's core that is too slow"
_WORKERS, _WORK_S = 8, 0.050
_FITS = _WORKERS / _WORK_S
_TIMES, _BUSY_TIMES = 4, 2
_QUEUE_S = 0.5
_QUEUE = round(_FITS * _QUEUE_S)
_CALM = 20.0
_BEFORE_S, _AFTER_S = 1.0, 6.0
_RUSH_S, _BUSY_RUSH_S = 1.0, 1.5
_GIVE_UP_S = 8.0
_LOAD_S = 1
_MOST_ROUNDS = 2
# The template ends with the line of its server.
_QUEUEING = (
    f"{HAPROXY.rstrip()} maxconn {_WORKERS}\n  timeout queue {_QUEUE_S * 1000:.0f}ms\n"
)


def run(bench: Bench) -> list[Record]:
    """Measure each proxy alone."""
    with many_files():
        return [*_waiting(bench), *_busy(bench)]


# An origin is what is too slow...


def _waiting(bench: Bench) -> list[Record]:
    slots = ("--max-per-origin", str(_WORKERS))
    # What has no bound makes for long waits: they are measured once.
    subjects: list[tuple[str, Start, int]] = [
        (OURS, _ours(bench, *slots, "--max-queue", str(_QUEUE)), _MOST_ROUNDS),
        ("haproxy", _haproxy, _MOST_ROUNDS),
        (f"{OURS}, default queue", _ours(bench, *slots), 1),
        ("squid", squid, 1),
    ]
    with (
        bench.section("waiting") as apart,
        slow_origin(apart.folder, _WORKERS, _WORK_S) as slow,
    ):
        direct = Record(SECTION, WAITING, DIRECT)
        records = [add_round(bench, direct, partial(_rush, slow.port, slow))]
        for name, start, rounds in subjects:
            record = Record(SECTION, WAITING, name)
            bench.tell(f"{SECTION}: {name}: {WAITING}")
            try:
                with bench.section(name) as own, alone(own, start, slow.port) as proxy:
                    for _ in range(min(rounds, bench.rounds)):
                        rush = partial(_rush, proxy.port, slow)
                        record = add_round(bench, record, rush)
            except UnavailableError as exc:
                record = replace(record, note=f"left out: {exc}")
            records.append(record)
    return records


def _ours(bench: Bench, *settings: str) -> Start:
    return lambda folder, port: reuse_proxy_of(
        bench.tree, OURS, folder, port, *settings
    )


@contextlib.contextmanager
def _haproxy(folder: Path, port: int) -> Iterator[Server]:
    """Run HAProxy with a queue in front of as many slots."""
    command = (program("haproxy"), "-f")
    with configured("haproxy", command, _QUEUEING, folder, port) as server:
        yield server


def _rush(port: int, slow: Server) -> Values:
    """Send more than fits to a port, and return what became of it."""
    plan = Plan(
        port=port,
        authority=f"{LOOPBACK}:{slow.port}",
        path="/",
        keep=True,
        calm=_CALM,
        rate=_FITS * _TIMES,
        before=_BEFORE_S,
        seconds=_RUSH_S,
        after=_AFTER_S,
        timeout=_GIVE_UP_S,
    )
    most_open(slow)
    outcome = play(plan)
    return _values(outcome) | {
        "offered": outcome.sent / _RUSH_S,
        "most_open": float(most_open(slow)),
    }


# A proxy's core is what is too slow...


def _busy(bench: Bench) -> list[Record]:
    records = []
    with bench.section("busy") as apart, origin(apart) as (server, load):
        for name, start in ((OURS, _ours(bench)), ("squid", squid)):
            record = Record(SECTION, BUSY, name)
            bench.tell(f"{SECTION}: {name}: {BUSY}")
            try:
                with alone(apart, start, server.port) as proxy:
                    for _ in range(min(_MOST_ROUNDS, bench.rounds)):
                        rush = partial(_busy_rush, proxy, server, load)
                        record = add_round(bench, record, rush)
            except UnavailableError as exc:
                record = replace(record, note=f"left out: {exc}")
            records.append(record)
    return records


def _busy_rush(proxy: Server, server: Server, load: Load) -> Values:
    fits = load.connection_per_request(proxy, _LOAD_S).rate
    before = cpu_seconds(proxy.process.pid)
    plan = Plan(
        port=proxy.port,
        authority=f"{LOOPBACK}:{server.port}",
        path="/small",
        keep=False,
        calm=_CALM,
        rate=fits * _BUSY_TIMES,
        before=_BEFORE_S,
        seconds=_BUSY_RUSH_S,
        after=_AFTER_S,
        timeout=_GIVE_UP_S,
    )
    outcome = play(plan)
    used = cpu_seconds(proxy.process.pid) - before
    kept = _values(outcome)
    return kept | {
        "offered": outcome.sent / _BUSY_RUSH_S,
        "fits": fits,
        "cpu_us": used / outcome.served * 1e6,
    }


def _values(outcome: Outcome) -> Values:
    """Return the numbers of an outcome."""
    if not outcome.served:
        raise FailedError(f"none of {outcome.sent} was served")
    kept = {
        "normal_ms": outcome.normal * 1000,
        "p50_ms": outcome.p50 * 1000,
        "p99_ms": outcome.p99 * 1000,
        "served_share": outcome.served / outcome.sent,
        "refused_share": outcome.refused / outcome.sent,
        "failed_share": outcome.failed / outcome.sent,
        "late_ms": outcome.late * 1000,
    }
    if outcome.recovery is not None:
        kept["recovery_s"] = outcome.recovery
    return kept
