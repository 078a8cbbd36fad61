"""Proxies in turn: each case through each of them, round by round.

A slow moment of the machine meets all of them, and nobody always comes first.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from load import Load
from measure import FailedError, Origin
from peers import (
    FIXED_UPSTREAM,
    PROXIES,
    Server,
    Start,
    UnavailableError,
    nginx,
    on_cpus,
    reuse_proxy,
    reuse_proxy_of,
)
from records import Record
from setting import Bench

DIRECT = "direct"
OURS = "reuse-proxy"
Values = dict[str, float]


@dataclass(frozen=True)
class Case:
    """One kind of work: ``run`` does a round of it, and returns numbers by name.

    ``connects`` tells that it needs a proxy that knows CONNECT.
    """

    name: str
    run: Callable[[Server], Values]
    connects: bool = False

    def fits(self, subject: Server) -> bool:
        """Tell whether this can be asked of a subject at all."""
        return not self.connects or subject.name not in {*FIXED_UPSTREAM, DIRECT}


@dataclass
class Subjects:
    """Who is measured, and why others are not."""

    servers: list[Server] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def peers(bench: Bench) -> list[Start]:
    """Return the fast proxies, ours from the tree that is measured."""
    ours = partial(_ours, bench.tree)
    return [ours if start is reuse_proxy else start for start in PROXIES]


def named(starts: Iterable[Start]) -> dict[str, Start]:
    """Return proxies by the names under which they will be measured."""
    return {_name(start): start for start in starts}


def _name(start: Start) -> str:
    if isinstance(start, partial):
        return OURS
    # proxy_py is proxy.py, and nginx_proxy nginx.
    name = str(getattr(start, "__name__", start))
    return name.removesuffix("_proxy").replace("_", ".")


def _ours(
    tree: Path, folder: Path, origin: int
) -> contextlib.AbstractContextManager[Server]:
    return reuse_proxy_of(tree, OURS, folder, origin)


@contextlib.contextmanager
def origin(bench: Bench) -> Iterator[tuple[Server, Load]]:
    """Run the nginx origin, and have loads for it."""
    with nginx(bench.folder) as server:
        yield server, Load(bench.folder, Origin(server))


@contextlib.contextmanager
def started(
    bench: Bench,
    starts: Mapping[str, Start],
    origin: Server,
    *,
    warm: Callable[[Server], object],
    with_direct: bool = False,
) -> Iterator[Subjects]:
    """Start proxies on their core and warm each up; those that do not are missing.

    Args:
        bench: where.
        starts: the proxies, by name.
        origin: what they are for.
        warm: what each does first.
        with_direct: the origin itself is a subject too: how it is without a proxy.
    """
    subjects = Subjects()
    with contextlib.ExitStack() as stack:
        for name, start in starts.items():
            try:
                with on_cpus(bench.proxy_cpus):
                    server = stack.enter_context(start(bench.folder, origin.port))
                warm(server)
            except (UnavailableError, FailedError) as exc:
                bench.tell(f"left out: {exc}")
                subjects.missing[name] = str(exc)
            else:
                subjects.servers.append(server)
        if with_direct:
            subjects.servers.append(replace(origin, name=DIRECT))
        yield subjects


def in_turn(
    bench: Bench, section: str, subjects: Subjects, cases: Sequence[Case]
) -> list[Record]:
    """Measure all rounds of all cases; what fails is noted and not tried again."""
    book = {
        (case, server.name): Record(section, case.name, server.name)
        for case in cases
        for server in subjects.servers
        if case.fits(server)
    }
    for number in range(bench.rounds):
        turn = number % max(1, len(subjects.servers))
        order = subjects.servers[turn:] + subjects.servers[:turn]
        for case in cases:
            bench.tell(f"{section}: round {number + 1} of {bench.rounds}: {case.name}")
            for server in order:
                key = case, server.name
                if key in book:
                    book[key] = add_round(bench, book[key], partial(case.run, server))
    missing = [
        Record(section, "all", name, note=f"left out: {why}")
        for name, why in subjects.missing.items()
    ]
    return [*book.values(), *missing]


def add_round(bench: Bench, record: Record, run: Callable[[], Values]) -> Record:
    """Add a round to a record, or why there is none; then there are no more."""
    if record.note:
        return record
    try:
        values = run()
    except (FailedError, UnavailableError) as exc:
        bench.tell(f"failed: {record.subject}, {record.case}: {exc}")
        return replace(record, note=f"failed: {exc}")
    for name, value in values.items():
        record.values.setdefault(name, []).append(value)
    return record
