"""Plain numbers as Prometheus' metric families."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from reuse_proxy.upstream.stats import Histogram

PREFIX = "reuse_proxy_"

_Samples = Mapping[tuple[str, ...], float]


def by_label(counts: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    """Return samples of a family with one label."""
    return {(str(label),): count for label, count in counts.items()}


def gauge(name: str, text: str, labels: list[str], samples: _Samples) -> "Metric":
    """Return a gauge."""
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for values, value in samples.items():
        family.add_metric(list(values), value)
    return family


def counter(name: str, text: str, labels: list[str], samples: _Samples) -> "Metric":
    """Return a counter; its name gets ``_total`` by itself."""
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for values, value in samples.items():
        family.add_metric(list(values), value)
    return family


def histogram(
    name: str, text: str, label: str | None, histograms: "Mapping[str, Histogram]"
) -> "Metric":
    """Return a histogram for each value of a label, or one without."""
    labels = [] if label is None else [label]
    family = HistogramMetricFamily(PREFIX + name, text, labels=labels)
    for value, histogram in histograms.items():
        family.add_metric(
            [value] if labels else [], list(histogram.buckets()), histogram.sum
        )
    return family


def plain(family: "Metric") -> dict[str, Any]:
    """Return a family as JSON has it."""
    return {
        "name": family.name,
        "text": family.documentation,
        "type": family.type,
        "samples": [
            [sample.name, sample.labels, sample.value] for sample in family.samples
        ],
    }
