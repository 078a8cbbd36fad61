"""Start-up: from exec to ready, and resident memory idle, before and after some work."""

import contextlib
import http.client
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import peers_slow
from load import Load
from localca import local_ca
from measure import FailedError, memory_bytes
from peers import LOOPBACK, Server, Start, on_cpus, reuse_proxy_of
from records import Record
from setting import Bench
from turns import OURS, Values, add_round, named, origin, peers

TITLE = "Start-up and memory"
SECTION = "startup"
CASE = "started alone"
EVERYTHING = f"{OURS}, everything on"
_HOST = "localhost"
_READY_TIMEOUT_S = 30.0
_POLL_S = 0.002
_MIB = 1 << 20


def run(bench: Bench) -> list[Record]:
    """Start each proxy anew in each round, one at a time."""
    starts = named(peers(bench))
    starts[EVERYTHING] = partial(_everything_on, bench.tree)
    starts |= named(peers_slow.PROXIES)
    book = {name: Record(SECTION, CASE, name) for name in starts}
    with origin(bench) as (server, load):
        for number in range(bench.rounds):
            bench.tell(f"{SECTION}: round {number + 1} of {bench.rounds}")
            with bench.section(f"round-{number}") as apart:
                for name, start in starts.items():
                    # What memory comes to does not vary as a time does: once is enough.
                    work = load if number == 0 else None
                    measure = partial(_values, apart, start, server, work)
                    book[name] = add_round(bench, book[name], measure)
    return list(book.values())


@contextlib.contextmanager
def _everything_on(tree: Path, folder: Path, origin: int) -> Iterator[Server]:
    """Run ours with what is opt-in: interception and origination."""
    ca = local_ca(tree, folder / "ca", _HOST)
    settings = ["--intercept", _HOST, "--originate-tls", _HOST]
    settings += ["--ca-dir", str(ca.parent)]
    with reuse_proxy_of(tree, EVERYTHING, folder, origin, *settings) as server:
        yield server


def _values(bench: Bench, start: Start, server: Server, load: Load | None) -> Values:
    with contextlib.ExitStack() as stack:
        with on_cpus(bench.proxy_cpus):
            proxy = stack.enter_context(start(bench.folder, server.port))
        values = {"start_ms": (_ready(proxy) - proxy.started) * 1e3}
        values |= _memory(proxy, "idle")
        if load is not None:
            load.connection_per_request(proxy, 1)
            values |= _memory(proxy, "worked")
        return values


def _ready(proxy: Server) -> float:
    """Return when a proxy was ready: ours says so itself, others when they listen."""
    if not proxy.admin:
        return proxy.listening
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if _status(proxy.admin) == 200:
                return time.monotonic()
        time.sleep(_POLL_S)
    raise FailedError(f"{proxy.name} is not ready after {_READY_TIMEOUT_S:.0f} s")


def _status(admin: int) -> int:
    asking = http.client.HTTPConnection(LOOPBACK, admin, timeout=_READY_TIMEOUT_S)
    with contextlib.closing(asking):
        asking.request("GET", "/readyz")
        return asking.getresponse().status


def _memory(proxy: Server, state: str) -> Values:
    rss, pss = memory_bytes(proxy.process.pid)
    return {f"rss_{state}_mib": rss / _MIB, f"pss_{state}_mib": pss / _MIB}
