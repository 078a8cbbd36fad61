"""Sockets at the origin for 10, 100 and 10,000 nodes: what docs/scaling.md says.

`python bench/scaling.py` simulates everything anew (some minutes of each core), keeps
the figures in docs/scaling.json and writes the tables of docs/scaling.md; `--tables` only
writes the tables, from the figures that are kept.
"""

import argparse
import json
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from cluster import Case, Demand, Figures, count, of_simulated, scale
from scaling_tables import Results, with_tables

from reuse_proxy.upstream.books import Limits

_DOCS = Path(__file__).parents[1] / "docs"
# A parent has the proxies of so many nodes behind it, and limits to match.
_NODES_PER_PARENT = 100
_PARENT = Limits(max_per_origin=400, max_queue=4096)
_QUIET = Demand(rate=0.01)
_BURSTS = Demand(burst=10)


def _ways(demand: Demand, nodes: int, *, simulated: int) -> dict[str, Case]:
    """No proxy; a pool per pod; per node; per node with parents behind them."""
    case = Case(nodes, 0, demand, simulated=min(nodes, simulated))
    node = replace(case, pods_per_pool=demand.pods_per_node)
    return {
        "closed": case,
        "left": replace(case, left_open_s=60.0),
        "pod": replace(case, pods_per_pool=1),
        "node": node,
        "parent": replace(
            node,
            nodes_per_parent=_NODES_PER_PARENT,
            parent_limits=_PARENT,
            # Some parents, so as to see how much they differ.
            simulated=min(nodes, 2 * _NODES_PER_PARENT),
        ),
    }


def busy() -> dict[str, Case]:
    """5 requests a second from each pod, by size of cluster and by way."""
    return {
        f"{nodes} {name}": case
        for nodes in (10, 100, 10_000)
        for name, case in _ways(Demand(), nodes, simulated=100).items()
    }


def quiet() -> dict[str, Case]:
    """A request in 100 s from each pod of the largest cluster, by way."""
    return _ways(_QUIET, 10_000, simulated=300)


def idle() -> dict[str, Case]:
    """One pool, by the requests a second that it gets, and its `idle_timeout`."""
    cases = {}
    for rate, pools in ((0.01, 300), (0.1, 200), (1.0, 100), (5.0, 40), (50.0, 10)):
        for seconds in (1.0, 5.0, 30.0, 120.0):
            demand = Demand(rate=rate, pods_per_node=1)
            limits = Limits(idle_timeout=seconds)
            cases[f"{rate:g} {seconds:g}"] = Case(pools, 1, demand, limits)
    return cases


def caps() -> dict[str, Case]:
    """A pool per node, by `max_per_origin`, in bursts that come to all at once."""
    case = Case(10_000, 10, _BURSTS, simulated=20)
    return {
        f"{cap}": replace(case, limits=Limits(max_per_origin=cap))
        for cap in (64, 32, 16, 8, 4)
    }


def advice() -> dict[str, Case]:
    """What is advised for each size of cluster, in the same bursts."""
    node = Case(10, 10, _BURSTS)
    many = replace(node, nodes=10_000, simulated=100)
    parent = replace(many, nodes_per_parent=100, parent_limits=_PARENT)
    short = replace(_PARENT, max_queue=Limits().max_queue)
    return {
        "10 pod": replace(node, pods_per_pool=1),
        "10 node": node,
        "100 node": replace(node, nodes=100, limits=Limits(max_per_origin=16)),
        "10000 node": replace(many, limits=Limits(max_per_origin=8, idle_timeout=5.0)),
        "10000 parent": parent,
        "10000 short": replace(parent, parent_limits=short),
    }


SECTIONS: dict[str, Callable[[], dict[str, Case]]] = {
    "busy": busy,
    "quiet": quiet,
    "idle": idle,
    "caps": caps,
    "advice": advice,
}


def main() -> int:
    """Simulate, keep, and write the tables."""
    parser = argparse.ArgumentParser(description="Sockets at the origin, simulated.")
    parser.add_argument("--tables", action="store_true", help="only write the tables")
    kept, document = _DOCS / "scaling.json", _DOCS / "scaling.md"
    if not parser.parse_args().tables:
        kept.write_text(json.dumps(_results(), indent=1) + "\n", "utf-8")
    results = json.loads(kept.read_text("utf-8"))
    document.write_text(with_tables(document.read_text("utf-8"), results), "utf-8")
    return 0


def _results() -> Results:
    """Simulate what the cases need, each once, on all cores."""
    cases = {section: make() for section, make in SECTIONS.items()}
    needed = {of_simulated(c): None for named in cases.values() for c in named.values()}
    with ProcessPoolExecutor() as executor:
        counted = dict(zip(needed, executor.map(count, needed), strict=True))
    return {
        section: {
            name: rounded(scale(counted[of_simulated(case)], case))
            for name, case in named.items()
        }
        for section, named in cases.items()
    }


def rounded(result: Figures) -> dict[str, float]:
    """Leave out digits that another machine's logarithm might change."""
    return {name: float(f"{value:.6g}") for name, value in asdict(result).items()}


if __name__ == "__main__":
    sys.exit(main())
