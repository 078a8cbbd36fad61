"""Reports as a proxy would make them, for those who judge or write them."""

from typing import cast

from reuse_proxy.report.document import ClientEntry, Report


def client(name="curl at 127.0.0.1", **counted) -> ClientEntry:
    """Make a client's entry; what is not given is nothing."""
    entry = ClientEntry(
        client=name,
        verdict="ok",
        evidence="It is fine.",
        fix=None,
        processes=[],
        requests=0,
        connections=0,
        connections_open=0,
        requests_per_connection=None,
        needless_connections=0,
        close_requests=0,
        aborts={"queue": 0, "head": 0, "body": 0},
        stalls=0,
        bodies_unread=0,
        tunnels=0,
        short_tunnels=0,
        upstream_opened=0,
        upstream_reused=0,
        misses={},
        bytes_received=0,
        bytes_sent=0,
        estimated_connections_saved=0,
        estimated_handshake_seconds_saved=0.0,
    )
    return cast("ClientEntry", {**entry, **counted})


def report(*clients: ClientEntry) -> Report:
    """Make the report on some clients."""
    return Report(
        version=1,
        seconds=1.5,
        summary="A summary.",
        totals={
            "clients": len(clients),
            "leaking": 0,
            "requests": sum(entry["requests"] for entry in clients),
            "client_connections": sum(entry["connections"] for entry in clients),
            "upstream_opened": sum(entry["upstream_opened"] for entry in clients),
            "upstream_reused": 0,
            "tunnels": sum(entry["tunnels"] for entry in clients),
            "estimated_connections_saved": 0,
            "estimated_handshake_seconds_saved": 0.0,
        },
        clients=list(clients),
        origins=[],
        tunnels=[],
    )
