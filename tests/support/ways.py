"""The three ways to carry HTTPS: a proxy and an origin with TLS for each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reuse_proxy.service import Service
from tests.support.origin import Origin, Script, serve_paths
from tests.support.tls import LocalAuthority, OriginAuthority

WAYS = ("tunnel", "origination", "interception")


@dataclass(frozen=True)
class Route:
    """One way to an origin, and what a client has to know of it."""

    way: str
    proxy: Service
    origin: Origin
    trusted: Path | None
    distrusted: Path

    @property
    def url(self) -> str:
        """What the client asks for, without a trailing slash."""
        if self.way == "origination":
            return self.origin.url.replace("https:", "http:")
        return self.origin.url

    def trust(self, variable: str) -> Mapping[str, str]:
        """Return the environment of a client that trusts who signs on this way."""
        return {} if self.trusted is None else {variable: str(self.trusted)}

    def distrust(self, variable: str) -> Mapping[str, str]:
        """Return the environment of a client that trusts the other authority."""
        return {variable: str(self.distrusted)}

    @property
    def tunnels(self) -> int:
        """How many tunnels the proxy says that it has carried."""
        stats = self.proxy.session.stats.origins.values()
        return sum(origin.requests[2, "tunnel"] for origin in stats)

    @property
    def opened(self) -> int:
        """How many connections the proxy says that it has opened."""
        stats = self.proxy.session.stats.origins.values()
        return sum(origin.opened for origin in stats)

    def assert_carried(self) -> None:
        """Check that the origin was reached on this way, and by nothing else."""
        through_us = [bool(asked.values(b"via")) for asked in self.origin.requests]

        assert through_us
        assert set(through_us) == {self.way != "tunnel"}
        assert self.opened == self.origin.accepted
        assert self.tunnels == (self.origin.accepted if self.way == "tunnel" else 0)


@dataclass(frozen=True)
class Routes:
    """Opens one of the three ways to a new origin, with the fixtures of these names."""

    make_proxy: Callable[..., Any]
    make_origin: Callable[..., Any]
    authority: OriginAuthority
    local_ca: LocalAuthority

    async def open(self, way: str, script: Script = serve_paths) -> Route:
        """Start an origin that follows a script, and a proxy that leads to it."""
        # Where the proxy asks, HTTP/2 is offered: it must not take it.
        tls = self.authority.server(http2=way != "tunnel")
        origin = await self.make_origin(script, tls=tls)
        theirs, ours = self.authority.file, self.local_ca.file
        match way:
            case "tunnel":
                proxy = await self.make_proxy(connect_ports=origin.port)
                return Route(way, proxy, origin, theirs, ours)
            case "origination":
                proxy = await self.make_proxy(
                    originate_tls="*.test", ca_file=theirs, connect_ports=""
                )
                return Route(way, proxy, origin, None, ours)
            case _:
                proxy = await self.make_proxy(
                    intercept="*.test",
                    ca_dir=self.local_ca.folder,
                    ca_file=theirs,
                    connect_ports=origin.port,
                )
                return Route(way, proxy, origin, ours, theirs)
