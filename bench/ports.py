"""Ports of loopback that stay free until the one they are for listens."""

import contextlib
import random
import socket
from collections.abc import Iterator
from pathlib import Path

_LOOPBACK = "127.0.0.1"
# Below those that the kernel gives to outgoing connections, which may come in between,
# and clear of those of databases, which reuse-proxy denies.
_PORTS = range(20000, 27000)
_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, all different."""
    wanted = _candidates()
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < count:
            with contextlib.suppress(OSError):
                held = socket.create_server((_LOOPBACK, next(wanted, 0)))
                ports.append(stack.enter_context(held).getsockname()[1])
        return ports


def _candidates() -> Iterator[int]:
    """Yield ports in any order, as others may look for some as well."""
    lowest = int(_OUTGOING.read_text().split()[0]) if _OUTGOING.exists() else 0
    if lowest < _PORTS.stop:
        return iter(())
    return iter(random.sample(_PORTS, len(_PORTS)))
