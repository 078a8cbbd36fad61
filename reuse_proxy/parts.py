"""What the settings say, as the parts want it told."""

from typing import TYPE_CHECKING

from reuse_proxy.config.machine import expanded
from reuse_proxy.ledger.verdict import Thresholds
from reuse_proxy.upstream.books import Limits
from reuse_proxy.upstream.options import SessionOptions
from reuse_proxy.upstream.tls import TlsContexts

if TYPE_CHECKING:
    from reuse_proxy.ca.store import Authority
    from reuse_proxy.config.loading import Loaded
    from reuse_proxy.config.settings import Settings


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


def authority(settings: "Settings") -> "Authority":
    """Load the local CA.

    Raises:
        SettingsError: there is none, it has expired, or others could use it.
    """
    from reuse_proxy.ca import store  # noqa: PLC0415 - slow, and opt-in

    return store.load(expanded(settings.ca_dir))


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
