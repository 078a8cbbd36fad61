"""Small requests: what one costs, how many fit, how long one takes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import peers_slow
from load import CLIENTS, Load
from measure import Sample
from peers import Server, Start
from records import Record
from setting import Bench
from turns import DIRECT, Case, Values, in_turn, named, origin, peers, started

TITLE = "Small requests"
SECTION = "small"
ONE = "1 keep-alive client"
KEPT = f"{CLIENTS} keep-alive clients"
MANY = "256 keep-alive clients"
NEW = "new connection per request"


def run(bench: Bench) -> list[Record]:
    """Measure the fast proxies in all cases, the slow ones once in two."""
    slow = replace(bench, rounds=1)
    fast = measure(bench, (ONE, KEPT, MANY, NEW), named(peers(bench)), with_direct=True)
    with slow.section("slow") as apart:
        return fast + measure(apart, (KEPT, NEW), named(peers_slow.PROXIES))


def measure(
    bench: Bench,
    names: Sequence[str],
    starts: Mapping[str, Start],
    *,
    with_direct: bool = False,
) -> list[Record]:
    """Measure the named cases through proxies, and without one."""
    with origin(bench) as (server, load):
        cases = [Case(name, partial(_values, bench, load, name)) for name in names]
        # Some know nothing else; what is asked below goes through the same code.
        warm = partial(load.connection_per_request, seconds=1)
        with started(
            bench, starts, server, warm=warm, with_direct=with_direct
        ) as subjects:
            return in_turn(bench, SECTION, subjects, cases)


def _values(bench: Bench, load: Load, name: str, subject: Server) -> Values:
    if name == NEW:
        sample = load.connection_per_request(subject, bench.seconds)
    else:
        clients = int(name.partition(" ")[0])
        sample = load.keep_alive(subject, bench.seconds, clients)
    return values(sample, subject) | {"p50_us": sample.p50_us, "p99_us": sample.p99_us}


def values(sample: Sample, subject: Server) -> Values:
    """Return what is kept of a round of requests; the origin has no price of its own."""
    kept = {"rate": sample.rate}
    if subject.name != DIRECT:
        kept |= {
            "cpu_us": sample.cpu * 1e6,
            "origin_connections": sample.origin_connections,
        }
    return kept
