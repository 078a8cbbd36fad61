"""What the upstream session is told by the settings."""

from dataclasses import dataclass

from reuse_proxy.upstream.books import Limits


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What the session needs besides the pool's limits; times in seconds."""

    limits: Limits
    unsafe_reuse_max_idle: float = 4.0
    drain_max_bytes: int = 16 * 1024 * 1024
    drain_timeout: float = 2.0
    connect_timeout: float = 5.0
    tls_timeout: float = 10.0
    response_timeout: float = 300.0
    dns_ttl: float = 15.0
    max_origins: int = 50
