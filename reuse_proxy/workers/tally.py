"""Metrics of several processes, added up so that no counter ever falls.

Pure sums.  What a process had counted until its end is kept; what it held is gone.  A
label is admitted once, up to a bound, and what comes after it is added to ``other``: as
in each worker, so that the bound holds for all of them together.
"""

from typing import TYPE_CHECKING, Any, Final

from prometheus_client.metrics_core import Metric

from reuse_proxy.admin.families import PREFIX
from reuse_proxy.ledger.identity import OTHER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Of these the sum says nothing.
_MAXIMA: Final = frozenset(
    PREFIX + name
    for name in ("queue_oldest_wait_seconds", "breaker_open", "build_info")
)
_COUNTING: Final = ("counter", "histogram")
_KEPT: Final = (PREFIX + "build_info",)

_Key = tuple[str, tuple[tuple[str, str], ...]]


class Labels:
    """The values of one label that have series of their own."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._admitted = 0
        self._known = {OTHER: OTHER}

    def admit(self, value: str) -> str:
        """Return a value, or ``other`` past the bound; always the same for one value.

        A series that was split off later, after the bound was raised, would let the
        sum of the others fall.  What is known is bounded by each worker's own labels.
        """
        known = self._known.get(value)
        if known is None:
            room = self._admitted < self.most
            self._admitted += room
            known = self._known[value] = value if room else OTHER
        return known


class Tally:
    """Families by name, each with its samples added up."""

    def __init__(self, labels: "Mapping[str, Labels]") -> None:
        self._labels = labels
        self._heads: dict[str, tuple[str, str]] = {}
        self._samples: dict[str, dict[_Key, float]] = {}

    def copy(self) -> "Tally":
        """Return one that begins with the same numbers."""
        other = Tally(self._labels)
        other._heads = dict(self._heads)
        other._samples = {name: dict(had) for name, had in self._samples.items()}
        return other

    def add(self, families: "Iterable[Mapping[str, Any]]", *, ended: bool) -> None:
        """Add the numbers of a process, which may have ended."""
        for family in families:
            name = family["name"]
            self._heads.setdefault(name, (family["text"], family["type"]))
            samples = self._samples.setdefault(name, {})
            lasting = not ended or family["type"] in _COUNTING or name in _KEPT
            for sample, labels, value in family["samples"]:
                key = sample, self._admitted(labels)
                number = value if lasting else 0
                before = samples.get(key, 0)
                maximum = name in _MAXIMA
                samples[key] = max(before, number) if maximum else before + number

    def _admitted(self, labels: "Mapping[str, str]") -> tuple[tuple[str, str], ...]:
        return tuple(
            (name, self._labels[name].admit(value) if name in self._labels else value)
            for name, value in labels.items()
        )

    def families(self) -> "Iterator[Metric]":
        """Yield all of them."""
        for name, (text, kind) in self._heads.items():
            family = Metric(name, text, kind)
            for (sample, labels), value in self._samples[name].items():
                family.add_sample(sample, dict(labels), value)
            yield family

    def rows(self, name: str) -> "Iterator[tuple[dict[str, str], float]]":
        """Yield labels and value of each sample of a gauge or counter."""
        for (_, labels), value in self._samples.get(PREFIX + name, {}).items():
            yield dict(labels), value
