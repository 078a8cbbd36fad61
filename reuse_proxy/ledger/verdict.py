"""Verdicts: an account judged by thresholds, with its evidence in numbers.

Pure rules, tried in order of how much harm is done.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from reuse_proxy.ledger.words import count

if TYPE_CHECKING:
    from reuse_proxy.ledger.account import Account


class Verdict(StrEnum):
    """What a client does, the worst first; a label, so the list stays short."""

    NEVER_READS = "never_reads"
    ABANDONS_BODY = "abandons_body"
    CONNECTION_PER_REQUEST = "connection_per_request"
    UNPOOLABLE_TUNNELS = "unpoolable_tunnels"
    OK = "ok"
    TOO_LITTLE_DATA = "too_little_data"

    @property
    def is_leak(self) -> bool:
        """Whether somebody should mend the client."""
        return self not in (Verdict.OK, Verdict.TOO_LITTLE_DATA)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on an account is judged; shares are from 0 to 1.

    Args:
        min_count: requests, connections or tunnels that are enough to go by.
        needless: share of requests for which a connection was opened that reuse would
            have saved.
        abandoned: share of responses that are not read to their end.
        stalls: resets of connections whose client does not read.
        short_tunnels: share of tunnels that end within seconds.
    """

    min_count: int = 20
    needless: float = 0.4
    abandoned: float = 0.1
    stalls: int = 3
    short_tunnels: float = 0.8


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and one sentence of evidence."""

    verdict: Verdict
    evidence: str


def judge(account: "Account", thresholds: Thresholds) -> Judgement:
    """Judge an account by the first rule that applies.

    1. It was reset because it did not read, several times.
    2. It leaves responses unread.
    3. It opens connections that reuse would save.
    4. Its tunnels are short, so that each is little more than a handshake.
    5. There is too little to go by; or it is fine.
    """
    for verdict, evidence in (
        (Verdict.NEVER_READS, _never_reads(account, thresholds)),
        (Verdict.ABANDONS_BODY, _abandons_body(account, thresholds)),
        (Verdict.CONNECTION_PER_REQUEST, _needless(account, thresholds)),
        (Verdict.UNPOOLABLE_TUNNELS, _tunnels(account, thresholds)),
    ):
        if evidence:
            return Judgement(verdict, evidence)
    asked = account.requests + account.tunnels
    if asked < thresholds.min_count:
        return Judgement(
            Verdict.TOO_LITTLE_DATA,
            f"{count(asked, 'request')} so far;"
            f" it is judged from {thresholds.min_count} on.",
        )
    return Judgement(Verdict.OK, _fine(account))


def _never_reads(account: "Account", thresholds: Thresholds) -> str:
    if account.stalls < thresholds.stalls:
        return ""
    return (
        f"{account.stalls:,} of its {count(account.connections, 'connection')} had to be"
        f" reset because it did not read the response."
    )


def _abandons_body(account: "Account", thresholds: Thresholds) -> str:
    left = account.aborts["body"]
    abandoned, requests = left + account.unread, account.requests
    if requests < thresholds.min_count or abandoned < thresholds.abandoned * requests:
        return ""
    if not abandoned:
        return ""
    parts = []
    if left:
        parts.append(f"it left {left:,} while they were arriving")
    if account.unread:
        parts.append(f"it closed {account.unread:,} unread")
    return (
        f"{abandoned:,} of {count(requests, 'response')} were not read to the end:"
        f" {' and '.join(parts)}."
    )


def _needless(account: "Account", thresholds: Thresholds) -> str:
    needless, requests = account.needless, account.requests
    # The first connection of all is not among them.
    if needless + 1 < thresholds.min_count or needless < thresholds.needless * requests:
        return ""
    closing = account.close_requests
    asked = f"; {count(closing, 'request')} asked for that with Connection: close"
    return (
        f"{count(requests, 'request')} came over"
        f" {count(account.connections, 'connection')}: {needless:,} were opened in the"
        f" place of one that it had closed or left idle{asked if closing else ''}."
    )


def _tunnels(account: "Account", thresholds: Thresholds) -> str:
    short, tunnels = account.short_tunnels, account.tunnels
    if short < thresholds.min_count or short < thresholds.short_tunnels * tunnels:
        return ""
    return (
        f"{tunnels:,} tunnels were opened for https://, each with a connection to its"
        f" origin; {short:,} ended within 5 seconds."
    )


def _fine(account: "Account") -> str:
    requests, each = account.requests, account.requests_per_connection
    text = (
        f"{count(requests, 'request')} over {count(account.connections, 'connection')}"
    )
    if each is not None and requests:
        text += f", {each:,.1f} on each"
    early = account.aborts["queue"] + account.aborts["head"]
    return f"{text}; it did not wait for {early:,}." if early else f"{text}."
