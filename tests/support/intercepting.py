"""Clients whose CONNECT a proxy opens with the local CA."""

import contextlib
from collections.abc import AsyncIterator

from reuse_proxy.service import Service
from tests.support.client import Client
from tests.support.origin import Origin
from tests.support.tls import LocalAuthority


@contextlib.asynccontextmanager
async def intercepted(
    proxy: Service, origin: Origin, local_ca: LocalAuthority, *, host: str = ""
) -> AsyncIterator[Client]:
    """Open a client connection, CONNECT to an origin, and speak TLS with our CA."""
    name = host or origin.name
    literal = f"[{name}]" if ":" in name else name
    async with Client(proxy.listening[0]) as client:
        assert await client.connect(f"{literal}:{origin.port}") == 200
        await client.start_tls(local_ca.client(), name)
        yield client


def intercepts(proxy: Service, origin: Origin, host: str = "") -> dict[str, int]:
    """What came of the CONNECT requests to an origin, by result."""
    label = f"https://{host or origin.name}:{origin.port}"
    stats = proxy.session.stats.origins.get(label)
    return {} if stats is None else dict(stats.intercepts)
