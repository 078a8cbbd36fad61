"""The admin application: read-only endpoints behind a check of who asks.

It listens on an address of its own and is never reachable through the proxy port.
A browser's cross-site request, or one that came by a rebound name, is refused.
"""

import logging
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from reuse_proxy.admin.metrics import make_registry
from reuse_proxy.errors import SettingsError
from reuse_proxy.limited import LimitedLog

if TYPE_CHECKING:
    from reuse_proxy.admin.views import Views
    from reuse_proxy.downstream.access import AccessList

log = logging.getLogger(__name__)
# aiohttp logs a traceback for each request that it cannot parse.
_unparsed_log = logging.getLogger(f"{__name__}.unparsed")
_unparsed_log.addHandler(logging.NullHandler())
_unparsed_log.propagate = False

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATE_PATH: Final = "/internal/state"
_INDEX: Final = """\
reuse-proxy admin

/metrics          Prometheus metrics
/healthz          200 while the process lives
/readyz           200 while it accepts requests, 503 while it stops
/api/v1/pools     every origin, connection and tunnel
/api/v1/clients   every client: what it cost, and a verdict
/api/v1/report    who leaks, what it cost, and how to fix it
/api/v1/settings  the settings in effect and where each came from
/api/v1/reload    POST, from this machine: read the settings again
"""


class Admin:
    """The endpoints over one proxy.

    Args:
        views: what they show.
        access: who may use them.
        state: what a supervisor adds up; only a worker serves it, and only to that.
    """

    def __init__(
        self,
        views: "Views",
        *,
        access: "AccessList",
        state: Callable[[], Awaitable[dict[str, Any]]] | None = None,
    ) -> None:
        self._views = views
        self.access = access
        self._state = state
        self._log = LimitedLog(log)

    def runner(self) -> web.AppRunner:
        """Return what serves the application."""
        return web.AppRunner(
            self.app(), access_log=None, keepalive_timeout=15.0, logger=_unparsed_log
        )

    def app(self) -> web.Application:
        """Build the aiohttp application."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/", self._index)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/api/v1/pools", self._pools)
        app.router.add_get("/api/v1/clients", self._clients)
        app.router.add_get("/api/v1/report", self._report)
        app.router.add_get("/api/v1/settings", self._settings)
        app.router.add_post("/api/v1/reload", self._reload)
        if self._state is not None:
            app.router.add_get(STATE_PATH, self._own_state)
        return app

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Refuse strangers, rebound names and cross-site requests; name our failures."""
        refusal = self._refusal(request)
        if refusal is not None:
            return web.Response(status=403, text=f"{refusal}\n")
        try:
            return await handler(request)
        except web.HTTPException as error:
            return web.Response(status=error.status, text=f"{error.reason}\n")
        except Exception as error:  # noqa: BLE001 - the last resort
            self._log(logging.ERROR, "an error of our own", error=error)
            return web.Response(
                status=500, text="This is an error of reuse-proxy itself.\n"
            )

    def _refusal(self, request: web.Request) -> str | None:
        headers = request.headers
        if not self.access.allows(request.remote or None):
            return "This address may not read here (allow_admin)."
        if request.method == "POST" and not _is_loopback(request.remote):
            return "Changes are made from this machine's loopback alone."
        if _is_loopback(request.remote) and not _names_loopback(request.host):
            return "The Host field must name this machine's loopback."
        site = headers.get("Sec-Fetch-Site", "none")
        if "Origin" in headers or site not in ("none", "same-origin"):
            return "Cross-site requests are refused."
        return None

    async def _index(self, _: web.Request) -> web.Response:
        return web.Response(text=_INDEX)

    async def _metrics(self, request: web.Request) -> web.Response:
        encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
        registry = make_registry(await self._views.metrics())
        return web.Response(
            body=encoder(registry), headers={"Content-Type": content_type}
        )

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        if self._views.ready():
            return web.Response(text="ready\n")
        return web.Response(status=503, text="stopping\n")

    async def _pools(self, _: web.Request) -> web.Response:
        return web.json_response(await self._views.pools())

    async def _clients(self, _: web.Request) -> web.Response:
        return web.json_response(await self._views.clients())

    async def _report(self, _: web.Request) -> web.Response:
        return web.json_response(await self._views.report())

    async def _settings(self, _: web.Request) -> web.Response:
        return web.json_response(self._views.settings())

    async def _reload(self, _: web.Request) -> web.Response:
        try:
            found = await self._views.reload()
        except SettingsError as exc:
            return web.Response(status=422, text=f"{exc}\n")
        return web.json_response({"changed": [change._asdict() for change in found]})

    async def _own_state(self, _: web.Request) -> web.Response:
        assert self._state is not None  # noqa: S101 - else there is no such route
        return web.json_response(await self._state())


def _is_loopback(remote: str | None) -> bool:
    return not remote or ip_address(remote.partition("%")[0]).is_loopback


def _names_loopback(host: str) -> bool:
    """Tell whether a Host field names loopback: not so after DNS rebinding."""
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.strip("[]")
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
