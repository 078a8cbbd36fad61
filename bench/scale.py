"""Many idle clients, many origins: memory for each, and what a request costs then.

Each proxy is alone while it is measured.  Memory is what its processes have (PSS), less
what they had after the same load without the crowd; the kernel's sockets are not in it.
CPU is that of a load of 32 keep-alive clients beside the crowd, or of the same load
that asks all origins in turn.  In turn is the worst case for a pool that holds fewer:
each request finds the connection that it needs just closed.
"""

from collections.abc import Callable, Sequence
from functools import partial

from crowd import Crowd, many_files
from load import Load
from many import ManyOrigins
from measure import FailedError, memory_bytes
from origins import Site, site
from peers import Server, Start, UnavailableError, reuse_proxy_of, squid
from records import Record
from setting import Bench
from small import values
from turns import OURS, Values, add_round, origin, peers
from ways import alone, intercepting

TITLE = "Scale: idle clients, and origins"
SECTION = "scale"
IDLE = (1, 100, 1000, 4000)
ORIGINS = (1, 100, 1000)
# Of other proxies the ends are enough.
_IDLE_OTHERS = (IDLE[0], IDLE[-1])
_ORIGINS_OTHERS = (ORIGINS[0], ORIGINS[-1])
# Memory for each of fewer is lost in the noise of all.
_ENOUGH = 500
_IN_TLS = 500
_SILENT = 1000
_LOAD_S = 1
_MOST_ROUNDS = 2
_MORE_SOCKETS = 2 * max(ORIGINS)
_KIB, _MIB = 1024, 1024 * 1024


def run(bench: Bench) -> list[Record]:
    """Measure clients, then origins."""
    with many_files():
        return [*_clients(bench), *_other_clients(bench), *_origins(bench)]


def of(count: int, what: str) -> str:
    """Return how many of a thing there are, in words."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


# Clients...


def _clients(bench: Bench) -> list[Record]:
    """Measure each proxy with a growing crowd of clients that have asked once."""
    records: list[Record] = []
    with bench.section("clients") as apart, origin(apart) as (server, load):
        for start in peers(apart):
            try:
                with alone(apart, start, server.port) as proxy:
                    load.keep_alive(proxy, _LOAD_S)
                    records += _growing(apart, proxy, load, server.port)
            except (UnavailableError, FailedError) as exc:
                records.append(_left_out(bench, exc))
    return records


def _left_out(bench: Bench, why: Exception) -> Record:
    bench.tell(f"{SECTION}: left out: {why}")
    return Record(SECTION, "all", "", note=f"left out: {why}")


def _growing(bench: Bench, proxy: Server, load: Load, port: int) -> list[Record]:
    counts = IDLE if proxy.name == OURS else _IDLE_OTHERS
    book = [Record(SECTION, of(count, "idle client"), proxy.name) for count in counts]
    with Crowd(proxy.port) as crowd:
        gathering = _Gathering(proxy, crowd)
        for number, count in enumerate(counts):
            bench.tell(f"{SECTION}: {proxy.name}: {book[number].case}")
            gather = partial(gathering.grow, count, partial(crowd.ask, origin=port))
            book[number] = add_round(bench, book[number], gather)
            for _ in range(min(bench.rounds, _MOST_ROUNDS)):
                beside = partial(gathering.load, load)
                book[number] = add_round(bench, book[number], beside)
    return book


class _Gathering:
    """A crowd in front of a proxy, whose memory without it is known."""

    def __init__(self, proxy: Server, crowd: Crowd) -> None:
        self._proxy = proxy
        self._crowd = crowd
        self._before = memory_bytes(proxy.process.pid)[1]

    def grow(self, count: int, add: Callable[[int], None]) -> Values:
        """Let it come to a size; return the memory that it takes."""
        try:
            add(count)
        except OSError as exc:
            raise FailedError(f"client {len(self._crowd)} of {count}: {exc}") from exc
        self._crowd.check()
        return _memory(self._proxy) | self._each(count)

    def load(self, load: Load) -> Values:
        """Return what requests cost meanwhile."""
        sample = load.keep_alive(self._proxy, _LOAD_S)
        self._crowd.check()
        return values(sample, self._proxy) | {"p99_us": sample.p99_us}

    def _each(self, count: int) -> Values:
        if count < _ENOUGH:
            return {}
        more = memory_bytes(self._proxy.process.pid)[1] - self._before
        return {"kib_per_client": more / count / _KIB}


def _memory(proxy: Server) -> Values:
    rss, pss = memory_bytes(proxy.process.pid)
    return {"rss_mib": rss / _MIB, "pss_mib": pss / _MIB}


def _other_clients(bench: Bench) -> list[Record]:
    """Measure idle clients of ours in intercepted TLS, and without a request."""
    records = []
    cases = (
        (f"{_IN_TLS:,} idle clients in intercepted TLS", _IN_TLS),
        (f"{_SILENT:,} clients that have only connected", _SILENT),
    )
    with bench.section("others") as apart, site(apart.folder) as server:
        for case, count in cases:
            book = Record(SECTION, case, OURS)
            records.append(add_round(apart, book, partial(_only, apart, server, count)))
    return records


def _only(bench: Bench, server: Site, count: int) -> Values:
    """Return the memory of one crowd."""
    with (
        bench.section(str(count)) as apart,
        intercepting(apart, server) as way,
        Crowd(way.server.port) as crowd,
    ):
        in_tls = partial(
            crowd.ask_inside_tls, origin=server.https_ports[0], trust=way.trust
        )
        # The first client brings in what all of them share.
        in_tls(1)
        gathering = _Gathering(way.server, crowd)
        return gathering.grow(1 + count, in_tls if count == _IN_TLS else crowd.connect)


# Origins...


def _origins(bench: Bench) -> list[Record]:
    """Measure the proxies that know more than one origin."""
    more = ("--max-sockets", str(_MORE_SOCKETS))
    cases: list[tuple[Start, str, Sequence[int]]] = [
        (_ours(bench, OURS), "", ORIGINS),
        (_ours(bench, "roomy", *more), f", max_sockets {_MORE_SOCKETS}", ORIGINS[-1:]),
        (squid, "", _ORIGINS_OTHERS),
    ]
    records: list[Record] = []
    with bench.section("origins") as apart, site(apart.folder, max(ORIGINS)) as server:
        for start, words, counts in cases:
            try:
                with alone(apart, start, server.http_ports[0]) as proxy:
                    records += _asking(apart, proxy, server, words, counts)
            except (UnavailableError, FailedError) as exc:
                records.append(_left_out(bench, exc))
    return records


def _ours(bench: Bench, name: str, *settings: str) -> Start:
    return lambda folder, port: reuse_proxy_of(
        bench.tree, name, folder, port, *settings
    )


def _asking(
    bench: Bench, proxy: Server, server: Site, words: str, counts: Sequence[int]
) -> list[Record]:
    """Measure one proxy, whose clients ask for more and more origins."""
    subject = OURS if proxy.admin else proxy.name
    ManyOrigins(bench.folder, server, 1).keep_alive(proxy, _LOAD_S)
    before = memory_bytes(proxy.process.pid)[1]
    book = []
    for count in counts:
        record = Record(SECTION, of(count, "origin") + words, subject)
        bench.tell(f"{SECTION}: {subject}: {record.case}")
        load = ManyOrigins(bench.folder, server, count)
        # Opens what the rounds then find open, if it is kept.
        load.keep_alive(proxy, _LOAD_S)
        for _ in range(min(bench.rounds, _MOST_ROUNDS)):
            record = add_round(bench, record, partial(_spread, proxy, load))
        record.values.update((k, [v]) for k, v in _memory(proxy).items())
        if count >= _ENOUGH:
            more = memory_bytes(proxy.process.pid)[1] - before
            record.values["kib_per_origin"] = [more / count / _KIB]
        book.append(record)
    return book


def _spread(proxy: Server, load: Load) -> Values:
    return values(load.keep_alive(proxy, _LOAD_S), proxy)
