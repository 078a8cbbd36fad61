"""The parts put together, and their life: start, ready, drain, stop."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

from aiohttp import web

from reuse_proxy.admin.app import Admin, unparsed_log
from reuse_proxy.admin.sources import Sources
from reuse_proxy.downstream.access import AccessList
from reuse_proxy.downstream.admission import Admission
from reuse_proxy.downstream.callers import Callers
from reuse_proxy.downstream.connect import ConnectHandler
from reuse_proxy.downstream.intercept import Interceptor
from reuse_proxy.downstream.listener import ProxyServer, Timeouts
from reuse_proxy.downstream.proxy import ProxyHandler
from reuse_proxy.downstream.rules import Rules
from reuse_proxy.downstream.stall import StallWatch
from reuse_proxy.downstream.tunnel import Tunnels
from reuse_proxy.ledger.ledger import Ledger
from reuse_proxy.ledger.owner import Owners
from reuse_proxy.listening import Listeners
from reuse_proxy.parts import authority, session_options, thresholds, tls_contexts
from reuse_proxy.report.build import Reporter
from reuse_proxy.systemd.activation import Activated
from reuse_proxy.tasks import TaskSet
from reuse_proxy.upstream.policy import DestinationPolicy
from reuse_proxy.upstream.resolver import SystemResolver
from reuse_proxy.upstream.session import UpstreamSession

if TYPE_CHECKING:
    from types import TracebackType

    from aiohttp.abc import AbstractResolver

    from reuse_proxy.config.address import Address
    from reuse_proxy.config.loading import Loaded
    from reuse_proxy.report.document import Report

# What aiohttp lets handlers have before it cancels them; 0 would mean for ever.
_END_CLIENTS_S = 0.001
_ADMIN_BACKLOG = 128


class Service:
    """A running proxy with its admin listener; an async context manager."""

    def __init__(
        self,
        loaded: "Loaded",
        *,
        resolver: "AbstractResolver | None" = None,
        trust_advice: str | None = None,
        activated: Activated | None = None,
    ) -> None:
        settings = loaded.settings
        loop = asyncio.get_running_loop()
        self._settings = settings
        self._trust_advice = trust_advice
        self._tasks = TaskSet()
        self._resolver = resolver or SystemResolver()
        self.session = UpstreamSession(
            session_options(settings),
            resolver=self._resolver,
            policy=self._policy(),
            tls=tls_contexts(loaded),
        )
        self.stall_watch = StallWatch(
            per_response=settings.spool_per_response,
            total=settings.spool_total,
            stall_timeout=settings.client_stall_timeout,
            loop=loop,
        )
        self.tunnels = Tunnels(
            self.session, idle_timeout=settings.tunnel_idle_timeout, loop=loop
        )
        self.ledger = Ledger(
            max_clients=settings.ledger_max_clients,
            max_labels=settings.metrics_max_clients,
        )
        self._owners: Owners | None = None
        if settings.client_processes:
            self._owners = Owners(tasks=self._tasks, loop=loop)
        self.server = self._make_server()
        self._reporter = Reporter(self.session, self.ledger, thresholds(settings))
        self._admin = Admin(
            Sources(self.session, self.stall_watch, self.tunnels, self._reporter),
            loaded,
            access=AccessList(settings.allow_admin),
            ready=lambda: not self.server.draining,
        )
        self._proxy_runner = web.ServerRunner(self.server)
        self._admin_runner = _admin_runner(self._admin)
        self._activated = activated or Activated()
        self._proxy_listeners = Listeners(
            self._proxy_runner,
            setting="listen",
            guard="allow_clients",
            allowed=settings.allow_clients,
            # All that may come at once: a SYN that is dropped is sent again after 1 s.
            backlog=settings.max_clients,
        )
        self._admin_listeners = Listeners(
            self._admin_runner,
            setting="admin",
            guard="allow_admin",
            allowed=settings.allow_admin,
            backlog=_ADMIN_BACKLOG,
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
        await self._admin_runner.setup()
        await self._proxy_runner.setup()
        given = self._activated
        await self._admin_listeners.start(
            [self._settings.admin], [given.admin] if given.admin else []
        )
        await self._proxy_listeners.start(self._settings.listen, given.listen)

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
        await self._proxy_runner.cleanup()
        await self._admin_runner.cleanup()
        self._admin_listeners.remove_files()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        await self.stop()

    def _make_server(self) -> ProxyServer:
        settings = self._settings
        connect = ConnectHandler(
            self.session,
            self.tunnels,
            ports=settings.connect_ports,
            interceptor=self._interceptor(),
        )
        return ProxyServer(
            ProxyHandler(
                self.session,
                connect,
                self.tunnels,
                tasks=self._tasks,
                rules=Rules(
                    max_request_body=settings.max_request_body,
                    originate=settings.originate_tls,
                ),
            ),
            admission=Admission(
                AccessList(settings.allow_clients),
                max_clients=settings.max_clients,
                max_per_address=settings.max_clients_per_address,
            ),
            callers=Callers(self.ledger, self._owners),
            stall_watch=self.stall_watch,
            timeouts=Timeouts(
                head=settings.client_head_timeout,
                body=settings.client_body_timeout,
                half_closed=settings.drain_timeout,
            ),
            idle_timeout=settings.client_idle_timeout,
        )

    def _policy(self) -> DestinationPolicy:
        return DestinationPolicy(
            deny=self._settings.deny_destinations,
            deny_private=self._settings.deny_private,
            deny_ports=frozenset(self._settings.deny_ports),
            own_ports=self._own_ports,
        )

    def _interceptor(self) -> Interceptor | None:
        settings = self._settings
        if not settings.intercept:
            return None
        from reuse_proxy.ca.leaves import Leaves  # noqa: PLC0415 - slow, and opt-in

        return Interceptor(
            self.session,
            Leaves(authority(settings), tasks=self._tasks),
            settings.intercept,
            handshake_timeout=settings.tls_timeout,
            tasks=self._tasks,
            advice=self._trust_advice,
        )

    def _own_ports(self) -> frozenset[int]:
        ports = self._proxy_listeners.ports | self._admin_listeners.ports
        return frozenset(ports)

    def __repr__(self) -> str:
        return f"<Service {[*map(str, self.listening)]} {self.session!r}>"


def _admin_runner(admin: Admin) -> web.AppRunner:
    return web.AppRunner(
        admin.app(), access_log=None, keepalive_timeout=15.0, logger=unparsed_log
    )
