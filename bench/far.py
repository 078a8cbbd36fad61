"""An origin 40 ms away: what a leaking client waits, and what the report says of it.

The Go program opens a connection for each request.  Time per request is that of the
whole program over its requests, its start included.  What is claimed is read off the
proxy's own report; what was really saved is the direct time less the one through it.

Each proxy speaks TLS with a near origin first.  The relay begins to count when it
accepts, so the time in which authorities are loaded would pass for a round trip.  And it
accepts at once, so that no proxy can know of TCP's round trip alone: of http, no claim
is shown.
"""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from leaking import LeakingClient, Target
from measure import FailedError, cpu_seconds
from origins import Site, site, url
from peers import Server, UnavailableError, squid
from records import Record
from relay import relay
from setting import Bench
from turns import DIRECT, OURS
from ways import alone, intercepting, originating, report

TITLE = "Far away: a leaking client of an origin at 40 ms"
SECTION = "far"
ROUND_TRIP_S = 0.040
_REQUESTS = 25
_SIZE = "1 KiB"
_MISTAKE = "newtransport"


@dataclass
class _Route:
    """A way to the origin, and what was measured on it.

    ``case`` is what the origin speaks, ``scheme`` what the client asks for, ``trust``
    its file of authorities.
    """

    case: str
    subject: str
    scheme: str
    trust: Path
    server: Server | None = None
    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: str = ""

    def ask(
        self, client: LeakingClient, origin: Site, requests: int, *, near: bool = False
    ) -> float:
        """Return the milliseconds of a request."""
        ports = origin.https_ports if self.case == "https" else origin.http_ports
        proxy = self.server.port if self.server else None
        target = Target(url(self.scheme, ports[near], _SIZE), proxy, self.trust)
        seconds = client.run(target, mistake=_MISTAKE, requests=requests)
        return seconds / requests * 1000

    def warm_up(self, client: LeakingClient, origin: Site) -> None:
        """Have the proxy load what it needs, then a connection to the far origin."""
        self.ask(client, origin, 1, near=True)
        self.ask(client, origin, 1)

    def measure(self, client: LeakingClient, origin: Site) -> None:
        """Add a round."""
        cpu, claimed = self._cpu(), self._claimed()
        self.values["ms"].append(self.ask(client, origin, _REQUESTS))
        if self.server:
            used = (self._cpu() - cpu) / _REQUESTS * 1000
            self.values["cpu_ms"].append(used)
        if self._claims:
            told = (self._claimed() - claimed) / _REQUESTS * 1000
            self.values["claimed_ms"].append(told)

    def compare(self, direct: "_Route") -> None:
        """Add what was really saved, and which part of it was claimed, by round."""
        pairs = zip(direct.values["ms"], self.values["ms"], strict=True)
        saved = [without - through for without, through in pairs]
        if self.server:
            self.values["saved_ms"] = saved
        if claimed := self.values.get("claimed_ms"):
            self.values["claimed_of_saved"] = [
                told / true for told, true in zip(claimed, saved, strict=True)
            ]

    @property
    def _claims(self) -> bool:
        return (
            self.case == "https" and self.server is not None and self.server.admin > 0
        )

    def _cpu(self) -> float:
        return cpu_seconds(self.server.process.pid) if self.server else 0.0

    def _claimed(self) -> float:
        if not self._claims or self.server is None:
            return 0.0
        totals = report(self.server)["totals"]
        return float(totals["estimated_handshake_seconds_saved"])

    def record(self) -> Record:
        """Return what was measured."""
        return Record(SECTION, self.case, self.subject, dict(self.values), self.failed)


def run(bench: Bench) -> list[Record]:
    """Measure all routes in turn, as many rounds as there are."""
    with contextlib.ExitStack() as stack:
        try:
            client = LeakingClient.built(bench.folder)
            origin = stack.enter_context(_far_site(bench))
        except UnavailableError as exc:
            bench.tell(f"{SECTION}: left out: {exc}")
            return [Record(SECTION, "all", "all", note=f"left out: {exc}")]
        routes = _routes(bench, stack, origin)
        for route in routes:
            _attempt(bench, route, partial(route.warm_up, client, origin))
        for number in range(bench.rounds):
            bench.tell(f"{SECTION}: round {number + 1} of {bench.rounds}")
            for route in routes:
                _attempt(bench, route, partial(route.measure, client, origin))
    return _records(routes)


def _attempt(bench: Bench, route: _Route, action: Callable[[], None]) -> None:
    """Do something on a route, unless something has failed there."""
    if route.failed:
        return
    try:
        action()
    except FailedError as exc:
        route.failed = f"failed: {exc}"
        bench.tell(f"{SECTION}: {route.subject}: {route.failed}")


def _records(routes: list[_Route]) -> list[Record]:
    direct = {route.case: route for route in routes if route.subject == DIRECT}
    for route in routes:
        if not route.failed and not direct[route.case].failed:
            route.compare(direct[route.case])
    return [route.record() for route in routes]


@contextlib.contextmanager
def _far_site(bench: Bench) -> Iterator[Site]:
    """Run the origin; its first ports are those of relays, the others are near."""
    with (
        site(bench.folder) as near,
        relay(bench.folder, near.http_ports[0], ROUND_TRIP_S) as http,
        relay(bench.folder, near.https_ports[0], ROUND_TRIP_S) as https,
    ):
        yield replace(
            near,
            http_ports=[http.port, *near.http_ports],
            https_ports=[https.port, *near.https_ports],
        )


def _routes(bench: Bench, stack: contextlib.ExitStack, origin: Site) -> list[_Route]:
    """Start the proxies; return the routes through them, and the direct ones."""
    trust = origin.authority
    routes = [
        _Route("https", DIRECT, "https", trust),
        _Route("http", DIRECT, "http", trust),
    ]
    for way in (intercepting, originating):
        with _left_out(bench):
            opened = stack.enter_context(way(bench, origin))
            routes.append(
                _Route("https", opened.name, opened.scheme, opened.trust, opened.server)
            )
            if way is originating:
                # For ports without TLS it is an ordinary proxy.
                routes.append(_Route("http", OURS, "http", trust, opened.server))
    with _left_out(bench):
        other = stack.enter_context(alone(bench, squid, origin.http_ports[0]))
        routes.append(_Route("https", f"{other.name}, tunnel", "https", trust, other))
        routes.append(_Route("http", other.name, "http", trust, other))
    return routes


@contextlib.contextmanager
def _left_out(bench: Bench) -> Iterator[None]:
    """Go on without a proxy that is not there."""
    try:
        yield
    except UnavailableError as exc:
        bench.tell(f"{SECTION}: left out: {exc}")
