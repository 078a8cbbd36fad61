"""The books must balance: what every test's proxy is held to at its end."""

import asyncio
from typing import TYPE_CHECKING, cast

from reuse_proxy.admin.kernel import socket_states
from reuse_proxy.service import Service
from reuse_proxy.upstream.session import UpstreamSession

if TYPE_CHECKING:
    from reuse_proxy.downstream.client import ClientConnection


async def settled(service: Service, *, seconds: float = 8.0) -> None:
    """Wait until no lease, waiter, dial or drain is left."""
    async with asyncio.timeout(seconds):
        while is_busy(service.session):
            await asyncio.sleep(0.01)


def is_busy(session: UpstreamSession) -> bool:
    """Tell whether any exchange has not ended."""
    return any(
        pool.active or pool.draining or pool.waiters or pool.dialing or pool.closing
        for pool in session.pool.origins.values()
    )


async def assert_balanced(service: Service) -> None:
    """Check that every exchange has ended once and every number agrees."""
    await settled(service)
    session = service.session
    connections = session.connections()
    stats = session.stats.origins.values()

    opened = sum(origin.opened for origin in stats)
    closed = sum(sum(origin.closed.values()) for origin in stats)
    kernel = socket_states(connection.fileno() for connection in connections)
    assert opened == closed + len(connections)
    assert session.pool.sockets == len(connections)
    assert all(connection.leases == 0 for connection in connections)
    assert sum(kernel.values()) == len(connections)
    assert service.stall_watch.spooled >= 0
    under_way = [client for client in service.server.clients if client.exchange]
    tunnels = sum(len(pool.tunnels) for pool in session.pool.origins.values())
    assert len(under_way) - tunnels <= session.outbox.exchanges <= len(under_way)
    accounts = list(service.ledger.accounts())
    clients = cast("list[ClientConnection]", service.server.connections)
    visiting = [client for client in clients if client.caller.visit]
    assert sum(account.open for account in accounts) == len(visiting)
    assert sum(a.upstream_opened for a in accounts) <= opened
    assert sum(a.saved for a in accounts) == sum(origin.saved for origin in stats)
