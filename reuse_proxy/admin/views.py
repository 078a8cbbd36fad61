"""What the admin listener shows, of one process or of several."""

from typing import TYPE_CHECKING, Any, Protocol

from reuse_proxy.admin.clients import clients_view
from reuse_proxy.admin.families import plain
from reuse_proxy.admin.metrics import ProxyCollector
from reuse_proxy.admin.pools import pools_view, settings_view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.metrics_core import Metric

    from reuse_proxy.admin.sources import Sources
    from reuse_proxy.reload import Change
    from reuse_proxy.report.document import Report


class Views(Protocol):
    """Numbers, documents, and the one change that may be asked for."""

    def ready(self) -> bool:
        """Whether requests are accepted."""

    async def metrics(self) -> "Iterable[Metric]":
        """Every metric family."""

    async def pools(self) -> dict[str, Any]:
        """Every origin, connection and tunnel."""

    async def clients(self) -> dict[str, Any]:
        """Every client, the worst first."""

    async def report(self) -> "Report":
        """Who leaks, what it cost, and how to fix it."""

    def settings(self) -> dict[str, Any]:
        """The settings in effect, and where each came from."""

    async def reload(self) -> "list[Change]":
        """Read the settings again; a SettingsError says why not."""


class LocalViews:
    """The views of this process."""

    def __init__(self, sources: "Sources", *, ready: "Callable[[], bool]") -> None:
        self._sources = sources
        self._collector = ProxyCollector(sources)
        self.ready = ready

    async def metrics(self) -> "Iterable[Metric]":
        """Read every metric family."""
        return self._collector.collect()

    async def pools(self) -> dict[str, Any]:
        """Describe every origin, connection and tunnel."""
        return pools_view(self._sources.session, self._sources.tunnels)

    async def clients(self) -> dict[str, Any]:
        """Describe every client."""
        return clients_view(self._sources.reporter)

    async def report(self) -> "Report":
        """Judge the clients, and report."""
        return self._sources.reporter.report()

    def settings(self) -> dict[str, Any]:
        """Describe the settings in effect."""
        return settings_view(self._sources.reloads.loaded)

    async def reload(self) -> "list[Change]":
        """Go by the settings as they are now."""
        return await self._sources.reloads.reload()

    async def state(self) -> dict[str, Any]:
        """Tell everything that adds up over several processes."""
        ledger = self._sources.reporter.ledger
        return {
            "metrics": [plain(family) for family in await self.metrics()],
            "clients": [account.plain() for account in ledger.accounts()],
            "merged": ledger.merged,
        }
