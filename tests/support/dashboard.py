"""The shipped dashboard: its panels, its expressions, and what Grafana's schema says."""

import enum
import json
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.prometheus import quickened

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"
FILE = FOLDER / "dashboards" / "reuse-proxy.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text("ascii"))
PANELS: list[dict[str, Any]] = [p for p in DASHBOARD["panels"] if p["type"] != "row"]
VARIABLES: list[dict[str, Any]] = [
    v for v in DASHBOARD["templating"]["list"] if v["type"] == "query"
]


@dataclass(frozen=True)
class Query:
    """An expression of a panel."""

    name: str
    expression: str
    legend: str

    @property
    def labels(self) -> set[str]:
        """The labels that its legend names."""
        return set(re.findall(r"{{(\w+)}}", self.legend))

    def __str__(self) -> str:
        return self.name


def queries() -> list[Query]:
    """Return every expression of the dashboard."""
    return [
        Query(f"{panel['title']} {t['refId']}", t["expr"], t["legendFormat"])
        for panel in PANELS
        for t in panel["targets"]
    ]


def filled_in(expression: str) -> str:
    """Put everything in for the variables, as Grafana does, at Prometheus' pace.

    Grafana's rate interval is four times the interval of scrapes.
    """
    values = {variable["name"]: variable["allValue"] for variable in VARIABLES}
    values |= {"__rate_interval": "1m", "__range": "1h"}
    filled = re.sub(r"\$(\w+)", lambda match: values[match[1]], expression)
    return quickened(filled)


def strangers(given: Any, known: Any, path: str = "") -> Iterator[str]:
    """Yield what is in the given JSON and not in what the schema made of it."""
    if isinstance(given, dict) and isinstance(known, dict):
        for key, value in given.items():
            if key in known:
                yield from strangers(value, known[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(given, list) and isinstance(known, list):
        for number, pair in enumerate(zip(given, known, strict=True)):
            yield from strangers(*pair, f"{path}[{number}]")
    elif given != known:
        yield f"{path}: {given!r} is not {known!r}"


def misspelt(model: Any, path: str = "") -> Iterator[str]:
    """Yield the values of the schema's models that their enumerations do not have."""
    hints = typing.get_type_hints(type(model))
    for name, value in vars(model).items():
        words = set(_words(hints[name]))
        for number, item in enumerate(value if isinstance(value, list) else [value]):
            here = f"{path}.{name}[{number}]"
            if hasattr(item, "to_json"):
                yield from misspelt(item, here)
            elif words and isinstance(item, str) and item not in words:
                yield f"{here}: {item!r}"


def _words(hint: Any) -> Iterator[str]:
    """Yield the values of the enumerations in a type; none where it is any string."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType, list):
        for part in typing.get_args(hint):
            yield from _words(part)
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        yield from (str(member.value) for member in hint)
