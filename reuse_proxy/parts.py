"""What the settings say, as the parts want it told."""

import logging
from typing import TYPE_CHECKING, Final

from reuse_proxy.config.machine import expanded
from reuse_proxy.downstream.access import AccessList
from reuse_proxy.downstream.accesslog import AccessLog
from reuse_proxy.downstream.admission import ClientLimits
from reuse_proxy.downstream.intercept import Interceptor
from reuse_proxy.downstream.listener import Timeouts
from reuse_proxy.downstream.route import ParentRoute
from reuse_proxy.downstream.stall import Spool
from reuse_proxy.ledger.ledger import Ledger
from reuse_proxy.ledger.owner import Owners
from reuse_proxy.ledger.verdict import Thresholds
from reuse_proxy.upstream.books import Limits
from reuse_proxy.upstream.options import SessionOptions
from reuse_proxy.upstream.policy import DestinationPolicy
from reuse_proxy.upstream.tls import TlsContexts

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from reuse_proxy.ca.store import Authority
    from reuse_proxy.config.loading import Loaded
    from reuse_proxy.config.settings import Settings
    from reuse_proxy.downstream.proxy import ProxyHandler
    from reuse_proxy.lines import Lines
    from reuse_proxy.tasks import TaskSet
    from reuse_proxy.upstream.session import UpstreamSession

log = logging.getLogger(__name__)

_NOT_OURS: Final = "nothing is logged, as standard output is closed or a command's own"


def tls_contexts(loaded: "Loaded") -> TlsContexts:
    """Check the files that TLS needs.

    Raises:
        SettingsError: one of them cannot be used.
    """
    return TlsContexts(
        ca_file=loaded.settings.ca_file,
        client_certs=loaded.settings.client_cert,
        resume_for=loaded.settings.max_lifetime,
        sources=loaded.sources,
    )


def authority(settings: "Settings") -> "Authority | None":
    """Load the local CA, if anybody is to be intercepted.

    Raises:
        SettingsError: there is none, it has expired, or others could use it.
    """
    if not settings.intercept:
        return None
    from reuse_proxy.ca import store  # noqa: PLC0415 - slow, and opt-in

    return store.load(expanded(settings.ca_dir))


def files(loaded: "Loaded") -> "tuple[TlsContexts, Authority | None]":
    """Read every file that the settings name.

    Raises:
        SettingsError: one of them cannot be used.
    """
    local_ca = authority(loaded.settings)
    if local_ca is not None:
        # What `interceptor` will want: a reload calls this off the loop.
        import reuse_proxy.ca.leaves  # noqa: F401, PLC0415
    return tls_contexts(loaded), local_ca


def interceptor(
    settings: "Settings",
    local_ca: "Authority | None",
    *,
    session: "UpstreamSession",
    tasks: "TaskSet",
    advice: str | None,
) -> Interceptor | None:
    """Make what opens CONNECT requests with the local CA, where there is one."""
    if local_ca is None:
        return None
    from reuse_proxy.ca.leaves import Leaves  # noqa: PLC0415 - slow, and opt-in

    return Interceptor(
        session,
        Leaves(local_ca, tasks=tasks),
        settings.intercept,
        handshake_timeout=settings.tls_timeout,
        tasks=tasks,
        advice=advice,
    )


def access_log(
    settings: "Settings", lines: "Lines | None", clock: "Callable[[], float]"
) -> AccessLog | None:
    """Return what logs every request, if that is asked for and there is a place."""
    style = settings.access_log
    if style == "off":
        return None
    if lines is None:
        log.warning("access_log = %s: %s", style, _NOT_OURS)
        return None
    return AccessLog(lines, style=style, paths=settings.access_log_paths, clock=clock)


def ledger(settings: "Settings") -> Ledger:
    """Return an empty ledger."""
    return Ledger(
        max_clients=settings.ledger_max_clients,
        max_labels=settings.metrics_max_clients,
    )


def owners(
    settings: "Settings", *, tasks: "TaskSet", loop: "AbstractEventLoop"
) -> Owners | None:
    """Return what looks up which processes clients are, if that is wanted."""
    return Owners(tasks=tasks, loop=loop) if settings.client_processes else None


def own_policy(
    settings: "Settings", own_ports: "Callable[[], frozenset[int]]"
) -> DestinationPolicy:
    """Pick where requests may go; ``own_ports`` tells where we listen."""
    return DestinationPolicy(
        deny=settings.deny_destinations,
        deny_private=settings.deny_private,
        deny_ports=frozenset(settings.deny_ports),
        own_ports=own_ports,
    )


def timeouts(settings: "Settings") -> Timeouts:
    """Pick what clients may take their time for."""
    return Timeouts(
        head=settings.client_head_timeout,
        body=settings.client_body_timeout,
        idle=settings.client_idle_timeout,
        half_closed=settings.drain_timeout,
    )


def spool(settings: "Settings") -> Spool:
    """Pick how much is held for clients that do not read, and for how long."""
    return Spool(
        per_response=settings.spool_per_response,
        total=settings.spool_total,
        stall_timeout=settings.client_stall_timeout,
    )


def clients(settings: "Settings") -> ClientLimits:
    """Pick who may connect, and how many."""
    return ClientLimits(
        AccessList(settings.allow_clients),
        max_clients=settings.max_clients,
        max_per_address=settings.max_clients_per_address,
    )


def lead(
    handler: "ProxyHandler",
    settings: "Settings",
    session: "UpstreamSession",
    own_ports: "Callable[[], frozenset[int]]",
) -> None:
    """Have requests go through the parent proxy from the next one on, if there is one."""
    way = None
    if settings.parent_proxy is not None:
        way = ParentRoute(
            settings.parent_proxy,
            settings.no_parent,
            policy=own_policy(settings, own_ports),
            denied=session.stats.denied,
            name=handler.rules.name,
        )
    handler.rules.parent = handler.connect.parent = way


def thresholds(settings: "Settings") -> Thresholds:
    """Pick from where on a client is judged."""
    return Thresholds(
        min_count=settings.leak_min_count,
        needless=settings.leak_needless,
        abandoned=settings.leak_abandoned,
        stalls=settings.leak_stalls,
        short_tunnels=settings.leak_short_tunnels,
    )


def session_options(settings: "Settings") -> SessionOptions:
    """Pick what the session needs out of the settings."""
    return SessionOptions(
        limits=Limits(
            max_sockets=settings.max_sockets,
            max_per_origin=settings.max_per_origin,
            max_queue=settings.max_queue,
            queue_timeout=settings.queue_timeout,
            idle_timeout=settings.idle_timeout,
            max_lifetime=settings.max_lifetime,
            dial_patience=settings.dial_patience,
            breaker_failures=settings.breaker_failures,
            breaker_time=settings.breaker_time,
        ),
        unsafe_reuse_max_idle=settings.unsafe_reuse_max_idle,
        drain_max_bytes=settings.drain_max_bytes,
        drain_timeout=settings.drain_timeout,
        connect_timeout=settings.connect_timeout,
        tls_timeout=settings.tls_timeout,
        response_timeout=settings.response_timeout,
        dns_ttl=settings.dns_ttl,
        max_origins=settings.metrics_max_origins,
    )
