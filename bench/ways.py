"""The proxy under test where it speaks TLS: with interception, with origination."""

import contextlib
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localca import local_ca
from origins import NAME, Site
from peers import LOOPBACK, Server, Start, on_cpus, reuse_proxy_of
from setting import Bench
from turns import OURS

_REPORT_TIMEOUT_S = 10


@dataclass(frozen=True)
class Way:
    """A running proxy, and what a client has to do to go this way.

    ``scheme`` is that of the URL that it asks for, ``trust`` its file of authorities.
    """

    name: str
    server: Server
    scheme: str
    trust: Path


@contextlib.contextmanager
def intercepting(bench: Bench, origin: Site) -> Iterator[Way]:
    """CONNECT that the local CA opens, and pooled TLS to the origin."""
    trust = local_ca(bench.tree, bench.folder / "ca", NAME.lower())
    settings = ["--intercept", NAME.lower(), "--ca-dir", str(trust.parent)]
    name = f"{OURS}, interception"
    with _ours(bench, name, origin, *settings) as server:
        yield Way(name, server, "https", trust)


@contextlib.contextmanager
def originating(bench: Bench, origin: Site) -> Iterator[Way]:
    """Plain HTTP to the proxy, and pooled TLS to the origin."""
    name = f"{OURS}, origination"
    tls = ",".join(f"{NAME.lower()}:{port}" for port in origin.https_ports)
    with _ours(bench, name, origin, "--originate-tls", tls) as server:
        yield Way(name, server, "http", origin.authority)


def report(server: Server) -> dict[str, Any]:
    """Return what the proxy says of itself at ``/api/v1/report``."""
    admin = http.client.HTTPConnection(
        LOOPBACK, server.admin, timeout=_REPORT_TIMEOUT_S
    )
    with contextlib.closing(admin):
        admin.request("GET", "/api/v1/report")
        document: dict[str, Any] = json.loads(admin.getresponse().read())
        return document


@contextlib.contextmanager
def alone(bench: Bench, start: Start, port: int) -> Iterator[Server]:
    """Run one proxy on the core that is the proxies', for an origin's port."""
    with contextlib.ExitStack() as stack:
        with on_cpus(bench.proxy_cpus):
            server = stack.enter_context(start(bench.folder, port))
        yield server


def _ours(
    bench: Bench, name: str, origin: Site, *settings: str
) -> contextlib.AbstractContextManager[Server]:
    """Run the proxy of the measured tree, with the origin's TLS ports."""
    ports = ",".join(map(str, origin.https_ports))
    trust = ["--connect-ports", ports, "--ca-file", str(origin.authority)]

    def start(folder: Path, port: int) -> contextlib.AbstractContextManager[Server]:
        return reuse_proxy_of(bench.tree, name, folder, port, *trust, *settings)

    return alone(bench, start, origin.http_ports[0])
