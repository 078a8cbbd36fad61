"""What a leaking program costs its origin: connections, as nginx counts them itself.

A compiled Go program makes the same mistake in 100 sequential requests.  Each case has
an origin of its own (a port), so that nothing pooled for one case serves another; a
proxy whose upstream is fixed is started anew for each.  One round: a count does not
vary as a time does.
"""

import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import peers_slow
from leaking import MISTAKES, UNREAD, LeakingClient, Target
from measure import FailedError
from origins import SIZES, Site, site, url
from peers import (
    FIXED_UPSTREAM,
    Server,
    Start,
    UnavailableError,
)
from records import Record
from setting import Bench
from turns import DIRECT, peers
from ways import Way, alone, intercepting, originating

TITLE = "Leaks: connections at the origin for 100 sequential requests"
REQUESTS = 100
SECTION = "leaks"
# When no other case is begun, and when one is ended.
_LIMIT_S = 85.0
_CASE_S = 10.0


@dataclass(frozen=True)
class _Case:
    """A mistake, in requests of one kind; ``number`` is that of its origin."""

    scheme: str
    mistake: str
    method: str
    size: str
    number: int

    @property
    def name(self) -> str:
        return f"{self.scheme}, {self.mistake}, {self.method}, {self.size}"


def _cases(scheme: str, methods: Sequence[str], sizes: Sequence[str]) -> list[_Case]:
    """Return mistakes by methods and sizes; who reads all needs no big body."""
    kinds = [
        (mistake, method, size)
        for mistake, method, size in itertools.product(MISTAKES, methods, sizes)
        if mistake in UNREAD or size == sizes[0]
    ]
    return [_Case(scheme, *kind, number) for number, kind in enumerate(kinds)]


_HTTP = _cases("http", ("GET", "POST"), tuple(SIZES))
# Slow proxies are slow with big bodies above all.
_SMALL = [case for case in _HTTP if case.size == "1 KiB"]
# TLS makes no difference to methods and to middle sizes.
_HTTPS = _cases("https", ("GET",), ("1 KiB", "8 MiB"))


def run(bench: Bench) -> list[Record]:
    """Count, through each proxy that is there."""
    try:
        client = LeakingClient.built(bench.folder)
    except UnavailableError as exc:
        bench.tell(f"{SECTION}: left out: {exc}")
        return [Record(SECTION, "all", "all", note=f"left out: {exc}")]
    with site(bench.folder, len(_HTTP), len(_HTTPS)) as origin:
        client.check_that_proxies_are_used(url("http", origin.http_ports[0], "1 KiB"))
        matrix = _Matrix(bench, client, origin)
        matrix.direct()
        matrix.pooled_tls()
        for start in peers(bench):
            matrix.proxy(start, _HTTP, _HTTPS)
        for start in peers_slow.PROXIES:
            matrix.proxy(start, _SMALL, ())
    return matrix.records


class _Matrix:
    """Runs cases one by one, within the section's time, and keeps what they gave."""

    def __init__(self, bench: Bench, client: LeakingClient, origin: Site) -> None:
        self.records: list[Record] = []
        self._bench = bench
        self._client = client
        self._origin = origin
        self._ends_at = time.monotonic() + _LIMIT_S
        self._folders = itertools.count()

    def direct(self) -> None:
        """Run all cases without a proxy: this is the leak."""
        for case in (*_HTTP, *_HTTPS):
            direct = Target(self._url(case), None, self._origin.authority)
            self._count(case, DIRECT, direct)

    def pooled_tls(self) -> None:
        """Run the cases of https where our proxy speaks TLS itself."""
        for way in (intercepting, originating):
            try:
                with way(self._bench, self._origin) as opened:
                    self._all_https(opened)
            except UnavailableError as exc:
                self._leave_out(exc)

    def _all_https(self, way: Way) -> None:
        for case in _HTTPS:
            asked = self._url(case, way.scheme)
            self._count(case, way.name, Target(asked, way.server.port, way.trust))

    def proxy(
        self, start: Start, http: Sequence[_Case], https: Sequence[_Case]
    ) -> None:
        """Run the cases that a proxy can serve, those of https in tunnels."""
        try:
            with self._started(start, self._origin.https_ports[0]) as server:
                if server.name not in FIXED_UPSTREAM:
                    self._through(server, http, https)
                    return
            for case in http:
                with self._started(start, self._port(case)) as server:
                    self._count(case, server.name, Target(self._url(case), server.port))
        except UnavailableError as exc:
            self._leave_out(exc)

    def _leave_out(self, why: UnavailableError) -> None:
        self._bench.tell(f"{SECTION}: left out: {why}")
        self.records.append(Record(SECTION, "all", "", note=f"left out: {why}"))

    def _through(
        self, server: Server, http: Sequence[_Case], https: Sequence[_Case]
    ) -> None:
        for case in http:
            self._count(case, server.name, Target(self._url(case), server.port))
        # Some allow CONNECT to one port only; nothing is pooled that it might share.
        for case in https:
            asked = url("https", self._origin.https_ports[0], case.size)
            target = Target(asked, server.port, self._origin.authority)
            self._count(case, f"{server.name}, tunnel", target)

    @contextlib.contextmanager
    def _started(self, start: Start, port: int) -> Iterator[Server]:
        with (
            self._bench.section(f"proxy-{next(self._folders)}") as apart,
            alone(apart, start, port) as server,
        ):
            yield server

    def _port(self, case: _Case) -> int:
        https = case.scheme == "https"
        ports = self._origin.https_ports if https else self._origin.http_ports
        return ports[case.number]

    def _url(self, case: _Case, scheme: str = "") -> str:
        return url(scheme or case.scheme, self._port(case), case.size)

    def _count(self, case: _Case, subject: str, target: Target) -> None:
        """Run one case; what did not come to its end is noted."""
        if time.monotonic() > self._ends_at:
            raise UnavailableError(f"{subject}: the section's time was over")
        before = self._origin.origin.accepted()
        try:
            seconds = self._client.run(
                target,
                mistake=case.mistake,
                requests=REQUESTS,
                method=case.method,
                timeout=_CASE_S,
            )
        except FailedError as exc:
            opened = self._origin.origin.accepted() - before
            note = f"failed, with {opened} connections at the origin: {exc}"
            self._bench.tell(f"{SECTION}: {subject}: {case.name}: {note}")
            self.records.append(Record(SECTION, case.name, subject, note=note))
        else:
            opened = self._origin.origin.accepted() - before
            values = {"connections": [float(opened)], "seconds": [seconds]}
            self.records.append(Record(SECTION, case.name, subject, values))
