"""Bodies: what a gigabyte costs, by the size of its parts, down and up."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import peers_slow
import sink
from load import CLIENTS, Load
from measure import Sample
from peers import FILES, Server, Start, free_port, room, running
from records import Record
from setting import Bench
from turns import DIRECT, Case, Values, in_turn, named, origin, peers, started

TITLE = "Bodies"
SECTION = "bodies"
DOWN_10K = f"10 KiB down, {CLIENTS} clients"
DOWN_1M = f"1 MiB down, {CLIENTS} clients"
DOWN = "100 MB down"
TUNNEL = "100 MB down in a tunnel"
UP = "100 MB up"
_COUNT = 3
_FILES = {DOWN_10K: "10k", DOWN_1M: "1m"}


def run(bench: Bench) -> list[Record]:
    """Measure the fast proxies in all cases, the slow ones once with big bodies."""
    fast = named(peers(bench))
    names = (DOWN_10K, DOWN_1M, DOWN, TUNNEL)
    records = measure(bench, names, fast, with_direct=True)
    records += measure_uploads(bench, fast, with_direct=True)
    once = replace(bench, rounds=1)
    with once.section("slow") as apart:
        slow = named(peers_slow.PROXIES)
        records += measure(apart, (DOWN, TUNNEL), slow)
        return records + measure_uploads(apart, slow)


def measure(
    bench: Bench,
    names: Sequence[str],
    starts: Mapping[str, Start],
    *,
    with_direct: bool = False,
) -> list[Record]:
    """Measure downloads through proxies, and without one."""
    with origin(bench) as (server, load):
        cases = [
            Case(name, _values(_download(bench, load, name)), connects=name == TUNNEL)
            for name in names
        ]
        warm = partial(load.connection_per_request, seconds=1)
        with started(
            bench, starts, server, warm=warm, with_direct=with_direct
        ) as subjects:
            return in_turn(bench, SECTION, subjects, cases)


def _download(bench: Bench, load: Load, name: str) -> Callable[[Server], Sample]:
    if name == TUNNEL:
        return partial(load.tunnel, count=_COUNT)
    if name == DOWN:
        return partial(load.download, count=_COUNT)
    return partial(load.bodies, seconds=bench.seconds, name=_FILES[name])


def measure_uploads(
    bench: Bench, starts: Mapping[str, Start], *, with_direct: bool = False
) -> list[Record]:
    """Measure uploads to a server that reads them."""
    with bench.section("up") as apart, origin(apart) as (_, load), _sink(apart) as to:
        file = apart.folder / "upload"
        with file.open("wb") as opened:
            opened.truncate(FILES["big"])
        upload = partial(load.upload, count=_COUNT, file=file, sink=to)
        warm = partial(load.upload, count=1, file=file, sink=to)
        with started(apart, starts, to, warm=warm, with_direct=with_direct) as subjects:
            return in_turn(apart, SECTION, subjects, [Case(UP, _values(upload))])


@contextlib.contextmanager
def _sink(bench: Bench) -> Iterator[Server]:
    folder, port = room(bench.folder, "sink"), free_port()
    command = [sys.executable, str(Path(sink.__file__)), str(port)]
    with running("sink", "", port, command, folder) as server:
        yield server


def _values(run: Callable[[Server], Sample]) -> Callable[[Server], Values]:
    def values(subject: Server) -> Values:
        sample = run(subject)
        kept = {"mb_s": sample.rate * 1e3}
        if subject.name != DIRECT:
            kept["cpu_s_gb"] = sample.cpu
        return kept

    return values
