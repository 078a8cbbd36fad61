"""How reloads of the settings went, as metrics."""

from typing import TYPE_CHECKING

from reuse_proxy.admin.families import by_label, counter, gauge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from reuse_proxy.reload import Reloads


def reload_metrics(reloads: "Reloads") -> "Iterator[Metric]":
    """Yield the families; their names are like those of Prometheus itself."""
    yield counter(
        "config_reloads",
        "Times that the settings were read again, by what came of it",
        ["result"],
        by_label(reloads.results),
    )
    yield gauge(
        "config_last_reload_successful",
        "Whether the last of them succeeded; 1 before the first",
        [],
        {(): int(reloads.last_ok)},
    )
    yield gauge(
        "config_last_reload_success_timestamp_seconds",
        "When the settings in effect were applied",
        [],
        {(): reloads.applied_at},
    )
