"""JSON views of the pool and of the settings."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl

    from reuse_proxy.config.loading import Loaded
    from reuse_proxy.downstream.tunnel import Tunnel, Tunnels
    from reuse_proxy.upstream.books import OriginPool
    from reuse_proxy.upstream.connection import UpstreamConnection
    from reuse_proxy.upstream.session import UpstreamSession


def pools_view(session: "UpstreamSession", tunnels: "Tunnels") -> dict[str, Any]:
    """Describe every origin, connection and tunnel; times are in seconds."""
    now = session.clock()
    connections: dict[OriginPool, list[dict[str, Any]]] = {}
    for connection in session.connections():
        connections.setdefault(connection.pool, []).append(
            _connection_view(connection, now)
        )
    return {
        "sockets": session.pool.sockets,
        "max_sockets": session.limits.max_sockets,
        "origins": [
            _origin_view(pool, connections.get(pool, []), session)
            for pool in session.pool.origins.values()
        ],
        "tunnels": [_tunnel_view(tunnel, now) for tunnel in tunnels.open],
    }


def _origin_view(
    pool: "OriginPool", connections: list[dict[str, Any]], session: "UpstreamSession"
) -> dict[str, Any]:
    waiting, oldest = pool.waiting(session.clock())
    learned = pool.learned_idle_limit
    return {
        "origin": str(pool.origin),
        "parent": None if pool.origin.parent is None else str(pool.origin.parent),
        "max_per_origin": session.limits.max_per_origin,
        "connecting": pool.dialing,
        "waiting": waiting,
        "oldest_wait_seconds": round(oldest, 3),
        "connect_seconds": pool.connect_seconds,
        "failed_dials_in_a_row": pool.failures,
        "breaker_open": session.pool.breaker.keeps_out(pool),
        "learned_idle_limit_seconds": learned if learned != float("inf") else None,
        "connections": connections,
    }


def _connection_view(connection: "UpstreamConnection", now: float) -> dict[str, Any]:
    idle = now - connection.idle_since if connection.state == "idle" else 0.0
    return {
        "state": str(connection.state),
        "local": _endpoint(connection.local_address),
        "remote": _endpoint(connection.address),
        "age_seconds": round(now - connection.opened_at, 3),
        "idle_seconds": round(idle, 3),
        "requests": connection.requests,
        "tls": _tls_view(connection.tls),
        "opened_because": str(connection.miss) or "queued",
        "closes_because": str(connection.retire) if connection.retire else None,
    }


def _tls_view(tls: "ssl.SSLObject | None") -> dict[str, Any] | None:
    if tls is None:
        return None
    cipher = tls.cipher()
    return {
        "version": tls.version(),
        "cipher": cipher[0] if cipher else None,
        "resumed": tls.session_reused,
    }


def _tunnel_view(tunnel: "Tunnel", now: float) -> dict[str, Any]:
    return {
        "origin": str(tunnel.connection.pool.origin),
        "client": _endpoint(tunnel.peer_address) or "unix",
        "age_seconds": round(now - tunnel.opened_at, 3),
        "idle_seconds": round(tunnel.idle(now), 3),
        "bytes_to_origin": tunnel.client.received,
        "bytes_to_client": tunnel.origin.received,
    }


def _endpoint(address: tuple[Any, ...] | None) -> str | None:
    if not address:
        return None
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def settings_view(loaded: "Loaded") -> dict[str, Any]:
    """Describe the settings in effect and where each came from."""
    return {
        effective.name: {"value": effective.value, "source": effective.source}
        for effective in loaded.effective()
    }
