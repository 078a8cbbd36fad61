"""TLS origination: ``http://`` requests to some hosts go out as pooled TLS.

The client speaks in clear to the proxy, which is on its own machine; the origin sees
verified TLS.  Nothing in a request or response is rewritten but the port in Host,
where TLS is spoken on another one.
"""

from typing import TYPE_CHECKING, Final

from reuse_proxy.config.hosts import HostTable, TlsRoute
from reuse_proxy.http.target import Origin, ProxyTarget

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_KNOWN: Final = 4096


class Origination:
    """Which targets go out as TLS, and to which port."""

    def __init__(self, routes: "Sequence[TlsRoute]") -> None:
        self._routes = HostTable(routes)
        self._known: dict[Origin, Origin] = {}

    def apply(self, target: ProxyTarget) -> ProxyTarget:
        """Return the target to ask: the same, or its twin with TLS."""
        asked = target.origin
        origin = self._known.get(asked)
        if origin is None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            origin = self._known[asked] = self._decide(asked)
        if origin is asked:
            return target
        kept = origin.port == asked.port
        host = target.host if kept else origin.authority.encode()
        return ProxyTarget(origin, host, target.path)

    def _decide(self, asked: Origin) -> Origin:
        route = None
        if asked.scheme == "http":
            route = self._routes.find(asked.host, asked.port)
        if route is None:
            return asked
        return Origin("https", asked.host, route.port_for(asked.port))

    def __repr__(self) -> str:
        return f"<Origination {self._routes!r}>"
