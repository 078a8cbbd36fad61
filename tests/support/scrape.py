"""Reading the admin listener, and the kernel's socket table to hold it against."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from reuse_proxy.config.address import Address
from tests.support.client import Client, Response

PREFIX = "reuse_proxy_"
# include/net/tcp_states.h
ESTABLISHED, TIME_WAIT = "01", "06"


async def admin_get(
    address: Address,
    path: str,
    *fields: str,
    host: str = "localhost",
    method: str = "GET",
) -> Response:
    """Send one request to an admin listener."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields, "", ""]
    async with Client(address) as client:
        await client.send("\r\n".join(lines).encode())
        return await client.response(method)


async def admin_json(address: Address, path: str) -> Any:
    """Read a JSON view."""
    return json.loads((await admin_get(address, path)).body)


async def scrape(address: Address) -> str:
    """Read /metrics as text."""
    return (await admin_get(address, "/metrics")).body.decode()


Samples = dict[tuple[str, ...], float]


def samples(text: str, name: str) -> Samples:
    """Values of one metric by their label values, in the labels' order by name."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == PREFIX + name:
                labels = tuple(sample.labels[key] for key in sorted(sample.labels))
                found[labels] = sample.value
    return found


def kernel_connections(*, to_port: int) -> Counter[str]:
    """Count this machine's IPv4 sockets whose peer has the port, by TCP state.

    Those in TIME_WAIT belong to nobody; they may be of an earlier test.  The table
    may show a socket twice while others come and go.
    """
    states: dict[tuple[str, str], str] = {}
    for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
        _, local, remote, state = line.split()[:4]
        port = int(remote.rpartition(":")[2], 16)
        if port == to_port and state != TIME_WAIT:
            states[local, remote] = state
    return Counter(states.values())
