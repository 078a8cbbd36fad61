"""The admin listener's views of all workers as one proxy."""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from reuse_proxy.admin.clients import client_metrics, clients_view
from reuse_proxy.admin.families import PREFIX, counter, gauge
from reuse_proxy.admin.pools import settings_view
from reuse_proxy.admin.reloads import reload_metrics
from reuse_proxy.workers.gather import ask_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.metrics_core import Metric

    from reuse_proxy.reload import Change, Reloads
    from reuse_proxy.report.document import Report
    from reuse_proxy.workers.crew import Crew
    from reuse_proxy.workers.gather import Gatherer

_VERDICTS: Final = PREFIX + "client_leak_verdict"


class GatheredViews:
    """The views of a supervisor and its workers."""

    def __init__(self, crew: "Crew", gatherer: "Gatherer", reloads: "Reloads") -> None:
        self._crew = crew
        self._gatherer = gatherer
        self._reloads = reloads

    def ready(self) -> bool:
        """Whether some worker accepts requests; the others' wait for theirs."""
        return bool(self._crew.serving) and not self._crew.stopping.is_set()

    async def metrics(self) -> "Iterable[Metric]":
        """Add up; what is judged or is the supervisor's own is not a sum."""
        await self._gatherer.refresh()
        own = {family.name: family for family in self._own_metrics()}
        summed = [f for f in self._gatherer.tally.families() if f.name not in own]
        return [*summed, *own.values()]

    def _own_metrics(self) -> "Iterator[Metric]":
        for family in client_metrics(self._gatherer.reporter):
            if family.name == _VERDICTS:
                yield family
        yield from reload_metrics(self._reloads)
        serving, wanted = len(self._crew.serving), self._crew.size
        yield gauge(
            "workers",
            "Worker processes by state",
            ["state"],
            {("serving",): serving, ("starting",): wanted - serving},
        )
        yield counter(
            "worker_restarts",
            "Worker processes that ended by themselves and were started again",
            [],
            {(): self._crew.restarts},
        )

    async def pools(self) -> dict[str, Any]:
        """List the pools of all workers, each with its worker's number."""
        serving = self._crew.serving
        found = await asyncio.gather(*(ask_json(w, "/api/v1/pools") for w in serving))
        answers = [
            (worker.number, pools)
            for worker, pools in zip(serving, found, strict=True)
            if pools is not None
        ]
        return {
            "sockets": sum(pools["sockets"] for _, pools in answers),
            "max_sockets": sum(pools["max_sockets"] for _, pools in answers),
            **{
                kind: [
                    {"worker": number, **row}
                    for number, pools in answers
                    for row in pools[kind]
                ]
                for kind in ("origins", "tunnels")
            },
            "workers": [
                {"worker": w.number, "pid": w.pid, "serving": w.serving}
                for w in self._crew.workers
            ],
        }

    async def clients(self) -> dict[str, Any]:
        """Judge each client once."""
        await self._gatherer.refresh()
        return clients_view(self._gatherer.reporter)

    async def report(self) -> "Report":
        """Judge the clients, and report."""
        await self._gatherer.refresh()
        return self._gatherer.reporter.report()

    def settings(self) -> dict[str, Any]:
        """Describe the settings in effect; caps are those of all workers together."""
        return settings_view(self._reloads.loaded)

    async def reload(self) -> "list[Change]":
        """Have all workers go by the settings as they are now."""
        return await self._reloads.reload()
