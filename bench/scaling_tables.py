"""The tables of docs/scaling.md, out of the figures of docs/scaling.json."""

import re
from collections.abc import Callable, Mapping
from typing import Final

Row = Mapping[str, float]
Section = Mapping[str, Row]
Results = Mapping[str, Section]

_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
_WAYS: Final = {
    "closed": "no proxy, closed after each request",
    "left": "no proxy, left open for 60 s",
    "pod": "a pool per pod",
    "node": "a pool per node",
    "parent": "a parent for up to 100 nodes",
}
_ADVISED: Final = {
    "10 pod": ("10", "per pod", "the defaults"),
    "10 node": ("10", "per node", "the defaults"),
    "100 node": ("100", "per node", "`max_per_origin = 16`"),
    "10000 node": ("10,000", "per node", "`max_per_origin = 8`, `idle_timeout = 5s`"),
    "10000 parent": (
        "10,000",
        "per node, and parents",
        "parents: `max_per_origin = 400`, `max_queue = 4096`",
    ),
    "10000 short": (
        "10,000",
        "per node, and parents",
        "parents: `max_per_origin = 400`",
    ),
}


def with_tables(text: str, results: Results) -> str:
    """Return a document with its tables made anew."""

    def made(found: re.Match[str]) -> str:
        begin, name, end = found.groups()
        return f"{begin}{_MAKE[name](results[name])}\n{end}"

    return _TABLE.sub(made, text)


def _busy(rows: Section) -> str:
    lines = []
    for name, row in rows.items():
        nodes, way = name.split()
        cells = [number(float(nodes)), _WAYS[way], *_of_way(row)]
        lines.append(cells)
    return _table(["nodes", "", *_OF_WAY], lines)


def _quiet(rows: Section) -> str:
    return _table(
        ["", *_OF_WAY], [[_WAYS[way], *_of_way(row)] for way, row in rows.items()]
    )


_OF_WAY: Final = (
    "pools",
    "sockets, mean",
    "p99",
    "opened per s",
    "reused",
    "at work",
    "Little",
)


def _of_way(row: Row) -> list[str]:
    error = f" ±{number(row['error'], 2)}" if row["error"] else ""
    return [
        number(row["pools"]) if row["pools"] else "-",
        number(row["mean"]) + error,
        number(row["p99"]),
        number(row["opened"], 2),
        percent(row["reused"]),
        number(row["busy"]),
        number(row["little"]),
    ]


def _idle(rows: Section) -> str:
    rates: dict[str, list[str]] = {}
    times: dict[str, None] = {}
    for name, row in rows.items():
        rate, seconds = name.split()
        times[f"`{seconds}s`"] = None
        cell = f"{number(row['mean'] / row['pools'], 2)}, {percent(row['reused'])}"
        rates.setdefault(rate, []).append(cell)
    return _table(["requests per s", *times], [[r, *c] for r, c in rates.items()])


def _caps(rows: Section) -> str:
    head = ["`max_per_origin`", *_IN_BURSTS]
    return _table(head, [[cap, *_in_bursts(row)] for cap, row in rows.items()])


def _advice(rows: Section) -> str:
    head = ["nodes", "pools", "settings", *_IN_BURSTS, "refused"]
    return _table(
        head,
        [
            [*_ADVISED[name], *_in_bursts(row), percent(row["refused"])]
            for name, row in rows.items()
        ],
    )


_IN_BURSTS: Final = ("sockets, mean", "most", "opened in a second, most", "wait, p99")


def _in_bursts(row: Row) -> list[str]:
    return [
        number(row["mean"]),
        number(row["most"]),
        number(row["most_opened"]),
        f"{number(row['wait_p99'] * 1000, 2)} ms",
    ]


_MAKE: Final[dict[str, Callable[[Section], str]]] = {
    "busy": _busy,
    "quiet": _quiet,
    "idle": _idle,
    "caps": _caps,
    "advice": _advice,
}


def number(value: float, digits: int = 3) -> str:
    """Print a number with so many digits that count, and commas for thousands."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 10 ** (digits - 1) else f"{rounded:g}"


def percent(share: float) -> str:
    """Print a share, never as all or nothing where it is not."""
    if share in {0.0, 1.0}:
        return f"{share:.0%}".replace("%", " %")
    return f"{min(max(share, 0.0001), 0.9999):.2%}".replace("%", " %")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines
    )
