"""The parts put together, and their life: start, ready, drain, stop."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

from aiohttp import web

from reuse_proxy.admin.app import Admin
from reuse_proxy.admin.sources import Sources
from reuse_proxy.admin.views import LocalViews
from reuse_proxy.downstream.access import AccessList
from reuse_proxy.downstream.admission import Admission
from reuse_proxy.downstream.callers import Callers
from reuse_proxy.downstream.connect import ConnectHandler
from reuse_proxy.downstream.listener import ProxyServer
from reuse_proxy.downstream.proxy import ProxyHandler
from reuse_proxy.downstream.rules import Rules
from reuse_proxy.downstream.stall import StallWatch
from reuse_proxy.downstream.tunnel import Tunnels
from reuse_proxy.errors import SettingsError
from reuse_proxy.listening import Listeners
from reuse_proxy.parts import (
    access_log,
    authority,
    clients,
    files,
    interceptor,
    lead,
    ledger,
    own_policy,
    owners,
    session_options,
    spool,
    thresholds,
    timeouts,
    tls_contexts,
)
from reuse_proxy.reload import Reloads
from reuse_proxy.report.build import Reporter
from reuse_proxy.systemd.activation import Activated
from reuse_proxy.tasks import TaskSet
from reuse_proxy.upstream.resolver import SystemResolver
from reuse_proxy.upstream.session import UpstreamSession

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from aiohttp.abc import AbstractResolver

    from reuse_proxy.ca.store import Authority
    from reuse_proxy.config.address import Address
    from reuse_proxy.config.loading import Loaded
    from reuse_proxy.config.settings import Settings
    from reuse_proxy.downstream.intercept import Interceptor
    from reuse_proxy.lines import Lines
    from reuse_proxy.report.document import Report

# What aiohttp lets handlers have before it cancels them; 0 would mean for ever.
_END_CLIENTS_S = 0.001


class Service:
    """A running proxy with its admin listener; an async context manager."""

    def __init__(
        self,
        loaded: "Loaded",
        *,
        resolver: "AbstractResolver | None" = None,
        trust_advice: str | None = None,
        activated: Activated | None = None,
        read: "Callable[[], Loaded] | None" = None,
        lines: "Lines | None" = None,
    ) -> None:
        settings = loaded.settings
        loop = asyncio.get_running_loop()
        self._settings = settings
        self._trust_advice = trust_advice
        self._lines = lines
        self._tasks = TaskSet()
        self._resolver = resolver or SystemResolver()
        self.session = UpstreamSession(
            session_options(settings),
            resolver=self._resolver,
            policy=own_policy(settings, self._own_ports),
            tls=tls_contexts(loaded),
        )
        self.stall_watch = StallWatch(spool(settings), loop=loop)
        self.tunnels = Tunnels(
            self.session, idle_timeout=settings.tunnel_idle_timeout, loop=loop
        )
        self.ledger = ledger(settings)
        self._owners = owners(settings, tasks=self._tasks, loop=loop)
        self.server = self._make_server(authority(settings))
        self.server.log_to(access_log(settings, lines, self.session.clock))
        lead(self.server.handler, settings, self.session, self._own_ports)
        self._reporter = Reporter(self.session, self.ledger, thresholds(settings))
        again = read or (lambda: loaded)
        self.reloads = Reloads(loaded, read=again, apply=self._apply)
        self._activated = activated or Activated()
        self._admin = self._make_admin()
        self._proxy_listeners = Listeners(
            web.ServerRunner(self.server),
            setting="listen",
            guard="allow_clients",
            # All that may come at once: a SYN that is dropped is sent again after 1 s.
            backlog=settings.max_clients,
        )
        self._admin_listeners = Listeners(
            self._admin.runner(), setting="admin", guard="allow_admin"
        )

    # Start...

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def start(self) -> None:
        """Listen on every address.

        Raises:
            SettingsError: an address cannot be listened on.
        """
        given, settings = self._activated, self._settings
        await self._admin_listeners.start(
            [settings.admin],
            [given.admin] if given.admin else [],
            allowed=settings.allow_admin,
        )
        await self._proxy_listeners.start(
            settings.listen, given.listen, allowed=settings.allow_clients
        )

    @property
    def listening(self) -> "list[Address]":
        """Where clients are accepted, with the ports that were really bound."""
        return self._proxy_listeners.addresses

    @property
    def admin_address(self) -> "Address":
        """Where the admin listener listens, likewise."""
        return self._admin_listeners.addresses[0]

    @property
    def url(self) -> str:
        """The first listener as a proxy URL."""
        return f"http://{self.listening[0]}"

    @property
    def admin_url(self) -> str:
        """The admin listener's URL."""
        return f"http://{self.admin_address}"

    async def clients(self) -> int:
        """Return how many clients are connected."""
        return len(self.server.connections)

    def report(self) -> "Report":
        """Return who leaks, what it cost and how to fix it, so far."""
        return self._reporter.report()

    # Stop...

    async def drain(self) -> bool:
        """Accept nothing more and let exchanges finish, for ``shutdown_timeout``.

        Returns:
            Whether all of them did.
        """
        await self._proxy_listeners.stop()
        if self._admin_listeners.adopted:
            # Its successor may be listening there: let it be the one that is asked.
            await self._admin_listeners.stop()
        self.server.start_draining()
        self.tunnels.start_draining()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.shutdown_timeout):
                await self.server.last_client_left()
        return not self.server.connections

    async def stop(self) -> None:
        """Close everything at once."""
        await self._proxy_listeners.stop()
        await self.server.shutdown(_END_CLIENTS_S)
        self.server.close()
        self.tunnels.close()
        if self._owners is not None:
            self._owners.close()
        await self._tasks.aclose()
        await self.session.aclose()
        await self._resolver.close()
        await self._proxy_listeners.aclose()
        await self._admin_listeners.aclose()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        await self.stop()

    # Build, and change...

    def _make_server(self, local_ca: "Authority | None") -> ProxyServer:
        settings = self._settings
        connect = ConnectHandler(
            self.session,
            self.tunnels,
            ports=settings.connect_ports,
            interceptor=self._interceptor(settings, local_ca),
        )
        rules = Rules(
            max_request_body=settings.max_request_body, originate=settings.originate_tls
        )
        return ProxyServer(
            ProxyHandler(
                self.session, connect, self.tunnels, tasks=self._tasks, rules=rules
            ),
            admission=Admission(clients(settings)),
            callers=Callers(self.ledger, self._owners),
            stall_watch=self.stall_watch,
            timeouts=timeouts(settings),
        )

    def _make_admin(self) -> Admin:
        parts = self.session, self.stall_watch, self.tunnels
        sources = Sources(*parts, self._reporter, self.reloads, self._lines)
        views = LocalViews(sources, ready=lambda: not self.server.draining)
        return Admin(
            views,
            access=AccessList(self._settings.allow_admin),
            state=views.state if self._activated.supervised else None,
        )

    async def _apply(self, loaded: "Loaded") -> None:
        """Go by other settings; what can fail comes first, and changes nothing.

        Raises:
            SettingsError: a file that they name cannot be used.
        """
        if self.server.draining:
            raise SettingsError("The proxy is stopping; nothing was reloaded.")
        settings, old = loaded.settings, self._settings
        tls, local_ca = await asyncio.to_thread(files, loaded)
        # From here on nothing fails, and nothing is awaited.
        self._settings = settings
        self.session.configure(
            session_options(settings),
            policy=own_policy(settings, self._own_ports),
            tls=tls,
            verify_anew=(settings.ca_file, settings.client_cert)
            != (old.ca_file, old.client_cert),
        )
        self.stall_watch.limits = spool(settings)
        self.tunnels.idle_timeout = settings.tunnel_idle_timeout
        self.ledger.configure(
            max_clients=settings.ledger_max_clients,
            max_labels=settings.metrics_max_clients,
        )
        self._reporter.thresholds = thresholds(settings)
        self.server.timeouts = timeouts(settings)
        self.server.admission.configure(clients(settings))
        self.server.log_to(access_log(settings, self._lines, self.session.clock))
        handler = self.server.handler
        handler.rules.configure(
            max_request_body=settings.max_request_body, originate=settings.originate_tls
        )
        lead(handler, settings, self.session, self._own_ports)
        handler.connect.configure(
            ports=settings.connect_ports,
            interceptor=self._interceptor(settings, local_ca),
        )
        self.server.reconsider()
        self._admin.access = AccessList(settings.allow_admin)

    def _interceptor(
        self, settings: "Settings", local_ca: "Authority | None"
    ) -> "Interceptor | None":
        return interceptor(
            settings,
            local_ca,
            session=self.session,
            tasks=self._tasks,
            advice=self._trust_advice,
        )

    def _own_ports(self) -> frozenset[int]:
        ours = self._proxy_listeners.ports | self._admin_listeners.ports
        return self._activated.ports | ours

    def __repr__(self) -> str:
        return f"<Service {[*map(str, self.listening)]} {self.session!r}>"
