"""What ledger, metrics and policy cost together: the proxy beside itself without them.

CPU time varies by more than the features cost. So instructions are counted, and their
share is taken of the part of the CPU time that is not the kernel's, where features are.
"""

import contextlib
import http.client
import re
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import bare_proxy
import small
from instructions import instructions
from load import Load
from measure import FailedError, user_and_system
from peers import LOOPBACK, REUSE_PROXY, Server, reuse_proxy_of
from records import Record
from setting import Bench
from turns import OURS, Case, Values, add_round, in_turn, origin, started

TITLE = "What the features cost"
SECTION = "features"
BARE = f"{OURS}, without"
_CASES = {small.KEPT: False, small.NEW: True}
_COMMANDS = {
    OURS: REUSE_PROXY,
    BARE: (sys.executable, str(Path(bare_proxy.__file__))),
}
_COUNTED = 400
_TIMEOUT_S = 10


def run(bench: Bench) -> list[Record]:
    """Measure both, with time and with instructions."""
    with replace(bench, seconds=1).section("time") as apart:
        records = _timed(apart)
    return [_counted(bench, record) for record in records]


def _timed(bench: Bench) -> list[Record]:
    with origin(bench) as (server, load):
        cases = [Case(name, partial(_values, bench, load, name)) for name in _CASES]
        starts = {name: partial(_start, bench.tree, name) for name in _COMMANDS}
        warm = partial(_warm, load)
        with started(bench, starts, server, warm=warm) as subjects:
            return in_turn(bench, SECTION, subjects, cases)


def _start(
    tree: Path, name: str, folder: Path, origin: int
) -> contextlib.AbstractContextManager[Server]:
    return reuse_proxy_of(tree, name, folder, origin, command=_COMMANDS[name])


def _warm(load: Load, proxy: Server) -> None:
    """Warm a proxy up, and see that its features are what they are said to be."""
    load.connection_per_request(proxy, 1)
    asking = http.client.HTTPConnection(LOOPBACK, proxy.admin, timeout=_TIMEOUT_S)
    with contextlib.closing(asking):
        asking.request("GET", "/metrics")
        metrics = asking.getresponse().read().decode()
    counted = re.search(r"^reuse_proxy_requests_total{.*} [1-9]", metrics, re.MULTILINE)
    if (counted is None) is not (proxy.name == BARE):
        raise FailedError(f"{proxy.name} has other features than it should")


def _values(bench: Bench, load: Load, name: str, subject: Server) -> Values:
    user, system = user_and_system(subject.process.pid)
    if _CASES[name]:
        sample = load.connection_per_request(subject, bench.seconds)
    else:
        sample = load.keep_alive(subject, bench.seconds)
    used, kernel = user_and_system(subject.process.pid)
    share = (used - user) / (used - user + kernel - system)
    return {"cpu_us": sample.cpu * 1e6, "user_share": share}


def _counted(bench: Bench, record: Record) -> Record:
    """Add the instructions of a request to what was measured of one."""
    if record.note:
        return record
    bench.tell(f"{SECTION}: instructions: {record.subject}, {record.case}")
    count = partial(
        instructions,
        requests=_COUNTED,
        new=_CASES[record.case],
        command=_COMMANDS[record.subject],
    )
    with bench.section(f"{record.subject}, {record.case}") as apart:
        return add_round(bench, record, lambda: {"instructions": count(apart)})
