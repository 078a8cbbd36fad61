"""Reads a report off the ledger and the session; changes nothing."""

from typing import TYPE_CHECKING, Final, Protocol

from reuse_proxy.ledger.family import recognise
from reuse_proxy.ledger.fixes import fix_for
from reuse_proxy.ledger.identity import OTHER
from reuse_proxy.ledger.verdict import Judgement, Verdict, judge
from reuse_proxy.ledger.words import count
from reuse_proxy.report.document import (
    VERDICTS,
    VERSION,
    ClientEntry,
    Fix,
    OriginEntry,
    Report,
    Totals,
    TunnelEntry,
)

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from reuse_proxy.ledger.account import Account
    from reuse_proxy.ledger.ledger import Ledger
    from reuse_proxy.ledger.verdict import Thresholds
    from reuse_proxy.upstream.stats import OriginStats, SessionStats

# More than this share of requests with Connection: close is the cause of the leak.
_CLOSING: Final = 0.5

_ADDED_UP: Final = "Clients that came seldom, added up; they are not judged together."


class Session(Protocol):
    """What is read off a session, or off the sums of several."""

    @property
    def stats(self) -> "SessionStats":
        """The numbers by origin."""

    @property
    def clock(self) -> "Callable[[], float]":
        """Tells the time in seconds."""

    def states(self) -> "Counter[tuple[str, ...]]":
        """Count sockets by origin label and state."""


class Reporter:
    """Judges the clients of one proxy, and reports."""

    def __init__(
        self, session: Session, ledger: "Ledger", thresholds: "Thresholds"
    ) -> None:
        self._session = session
        self.ledger = ledger
        self.thresholds = thresholds
        self._started = session.clock()

    def judge(self, account: "Account") -> Judgement:
        """Judge one client; many that were added up cannot be judged together."""
        if account is self.ledger.other:
            return Judgement(Verdict.TOO_LITTLE_DATA, _ADDED_UP)
        return judge(account, self.thresholds)

    def clients(self) -> list[ClientEntry]:
        """Return every client, the worst first, and of those the busiest."""
        entries = [self._client(account) for account in self.ledger.accounts()]
        entries.sort(
            key=lambda entry: (
                VERDICTS.index(entry["verdict"]),
                -entry["connections"] - entry["tunnels"],
                -entry["requests"],
            )
        )
        return entries

    def report(self) -> Report:
        """Return the whole report."""
        clients = self.clients()
        stats = self._session.stats.origins.values()
        states = self._session.states()
        opened = {
            label: sum(n for (origin, _), n in states.items() if origin == label)
            for label in self._session.stats.origins
        }
        origins = [_origin(origin, opened[origin.label]) for origin in stats]
        origins.sort(key=lambda entry: (-entry["opened"], -entry["requests"]))
        totals = self._totals(clients, origins)
        return Report(
            version=VERSION,
            seconds=round(self._session.clock() - self._started, 3),
            summary=summary(totals, clients, origins=len(origins)),
            totals=totals,
            clients=clients,
            origins=origins,
            tunnels=self._tunnels(),
        )

    def _client(self, account: "Account") -> ClientEntry:
        judgement = self.judge(account)
        each = account.requests_per_connection
        return ClientEntry(
            client=account.name,
            verdict=str(judgement.verdict),
            evidence=judgement.evidence,
            fix=_fix(account, judgement.verdict),
            processes=[
                {"pid": pid, "command": command}
                for command, pid in account.processes.items()
            ],
            requests=account.requests,
            connections=account.connections,
            connections_open=account.open,
            requests_per_connection=round(each, 2) if each else None,
            needless_connections=account.needless,
            close_requests=account.close_requests,
            aborts={phase: account.aborts[phase] for phase in PHASES},
            stalls=account.stalls,
            bodies_unread=account.unread,
            tunnels=account.tunnels,
            short_tunnels=account.short_tunnels,
            upstream_opened=account.upstream_opened,
            upstream_reused=account.upstream_reused,
            misses={str(miss): count for miss, count in account.misses.items()},
            bytes_received=account.received,
            bytes_sent=account.sent,
            estimated_connections_saved=account.saved,
            estimated_handshake_seconds_saved=round(account.saved_seconds, 6),
        )

    def _totals(self, clients: list[ClientEntry], origins: list[OriginEntry]) -> Totals:
        return Totals(
            clients=len(self.ledger) + self.ledger.merged,
            leaking=sum(Verdict(entry["verdict"]).is_leak for entry in clients),
            requests=sum(entry["requests"] for entry in clients),
            client_connections=sum(entry["connections"] for entry in clients),
            upstream_opened=sum(entry["opened"] for entry in origins),
            upstream_reused=sum(entry["reused"] for entry in origins),
            tunnels=sum(entry["tunnels"] for entry in clients),
            estimated_connections_saved=sum(
                entry["estimated_connections_saved"] for entry in origins
            ),
            estimated_handshake_seconds_saved=round(
                sum(entry["estimated_handshake_seconds_saved"] for entry in origins), 6
            ),
        )

    def _tunnels(self) -> list[TunnelEntry]:
        """Return where CONNECT tunnels went, and what would pool them."""
        counts: dict[str, list[int]] = {}
        for account in self.ledger.accounts():
            for origin, (tunnels, short) in account.tunnel_origins.items():
                sums = counts.setdefault(origin, [0, 0])
                sums[0] += tunnels
                sums[1] += short
        return [
            _tunnel(origin, tunnels, short)
            for origin, (tunnels, short) in sorted(
                counts.items(), key=lambda item: -item[1][0]
            )
            if origin != OTHER
        ]


PHASES: Final = ("queue", "head", "body")


def summary(totals: Totals, clients: list[ClientEntry], *, origins: int) -> str:
    """Say in one sentence, or two, what has happened."""
    requests = totals["requests"]
    if not requests and not totals["tunnels"]:
        return "No request has come through the proxy."
    what = [count(requests, "request")] if requests else []
    if totals["tunnels"]:
        what.append(count(totals["tunnels"], "tunnel"))
    saved = totals["estimated_connections_saved"]
    seconds = totals["estimated_handshake_seconds_saved"]
    text = (
        f"{count(totals['clients'], 'client')} made {' and '.join(what)}"
        f" over {count(totals['client_connections'], 'connection')};"
        f" reuse-proxy opened {totals['upstream_opened']} to {count(origins, 'origin')}"
    )
    if saved:
        text += (
            f", which saved an estimated {count(saved, 'connection')}"
            f" and {seconds_text(seconds)} of handshakes"
        )
    return f"{text}. {_who(clients)}"


def _who(clients: list[ClientEntry]) -> str:
    leaking = [e["client"] for e in clients if Verdict(e["verdict"]).is_leak]
    if not leaking:
        judged = any(entry["verdict"] == Verdict.OK for entry in clients)
        return "No client leaks." if judged else "That is too little to judge by."
    if len(leaking) == 1:
        return f"{leaking[0]} leaks."
    return f"{len(leaking)} clients leak, {leaking[0]} worst."


def seconds_text(seconds: float) -> str:
    """Return a time with a unit that suits it."""
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds:,.1f} s"


def _fix(account: "Account", verdict: Verdict) -> Fix | None:
    fix = fix_for(
        str(verdict),
        recognise(account.product, account.processes, silent=not account.requests),
        tunnels=account.tunnels > 0,
        close_requests=account.close_requests > _CLOSING * account.requests,
    )
    if fix is None:
        return None
    return Fix(
        family=fix.family,
        summary=fix.summary,
        steps=list(fix.steps),
        code=list(fix.code),
    )


def _origin(stats: "OriginStats", open_now: int) -> OriginEntry:
    return OriginEntry(
        origin=stats.label,
        requests=sum(
            number for (_, via), number in stats.requests.items() if via != "intercept"
        ),
        opened=stats.opened,
        reused=stats.reused,
        open=open_now,
        tunnels=stats.tunnels_opened,
        connect_failures=sum(stats.connect_failures.values()),
        estimated_connections_saved=stats.saved,
        estimated_handshake_seconds_saved=round(stats.saved_seconds, 6),
    )


def _tunnel(origin: str, tunnels: int, short: int) -> TunnelEntry:
    host, _, port = origin.rpartition(":")
    to_port = "" if port == "443" else f":80={port}"
    return TunnelEntry(
        origin=origin,
        tunnels=tunnels,
        short=short,
        origination=f"--originate-tls {host}{to_port}",
        interception=f"--intercept {host}" + ("" if port == "443" else f":{port}"),
    )
