"""The limits that a command must keep: pure judgements of a report.

They are about the client's own behaviour, which the proxy would hide from whoever
looks at the origin: a leak costs no upstream connection any more.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from reuse_proxy.ledger.words import count

if TYPE_CHECKING:
    from reuse_proxy.report.document import ClientEntry, Report

_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_SHARE: Final = re.compile(r"([0-9]{0,9}\.?[0-9]{1,9})(%?)")


@dataclass(frozen=True, slots=True)
class Gate:
    """The limits; None is no limit.

    Args:
        max_upstream: how many connections to origins may be opened.
        min_reuse: the share of requests that must come on a connection of the client
            that has carried others.
    """

    max_upstream: int | None = None
    min_reuse: Fraction | None = None

    def broken(self, report: "Report") -> list[str]:
        """Return a sentence for each limit that was not kept."""
        return [*self._too_many(report), *self._too_little(report)]

    def _too_many(self, report: "Report") -> Iterator[str]:
        opened = report["totals"]["upstream_opened"]
        if self.max_upstream is None or opened <= self.max_upstream:
            return
        yield (
            f"The command needed {count(opened, 'connection')} to origins, more than"
            f" --max-upstream {self.max_upstream}"
            + _worst(
                report,
                key=lambda client: client["upstream_opened"],
                tell=lambda client: f"{client['upstream_opened']} of them",
            )
        )

    def _too_little(self, report: "Report") -> Iterator[str]:
        if self.min_reuse is None:
            return
        asked = sum(map(_asked, report["clients"]))
        if not asked:
            yield (
                f"--min-reuse {_percent(self.min_reuse)} cannot be judged: the command"
                " made no request through the proxy."
            )
            return
        opened = sum(client["connections"] for client in report["clients"])
        share = max(Fraction(asked - opened, asked), Fraction())
        if share >= self.min_reuse:
            return
        yield (
            f"The command reused its connections for {_percent(share)} of"
            f" {count(asked, 'request')}, less than --min-reuse"
            f" {_percent(self.min_reuse)}" + _worst(report, key=_wasted, tell=_ratio)
        )


def upstream_limit(text: str) -> int:
    """Read --max-upstream; a ValueError says what is wrong with it."""
    if _WHOLE.fullmatch(text) is None:
        raise ValueError(f"{text} is not a number of connections; give 0 or more")
    return int(text)


def reuse_share(text: str) -> Fraction:
    """Read --min-reuse; a ValueError says what is wrong with it."""
    match = _SHARE.fullmatch(text)
    share = Fraction(match[1]) / (100 if match[2] else 1) if match else None
    if share is None or share > 1:
        raise ValueError(f"{text} is not a share; give 0 to 1, or 0% to 100%")
    return share


def _asked(client: "ClientEntry") -> int:
    # A tunnel is a request that has reused nothing: we cannot see what it carries.
    return client["requests"] + client["tunnels"]


def _wasted(client: "ClientEntry") -> int:
    return client["connections"] if _asked(client) else 0


def _ratio(client: "ClientEntry") -> str:
    connections = count(client["connections"], "connection")
    return f"{connections} for {count(_asked(client), 'request')}"


def _worst(
    report: "Report",
    *,
    key: "Callable[[ClientEntry], int]",
    tell: "Callable[[ClientEntry], str]",
) -> str:
    """End a sentence with the client that has most of what `key` counts."""
    worst = max(report["clients"], key=key, default=None)
    if worst is None or not key(worst):
        return "."
    return f"; the worst client is {worst['client']}: {tell(worst)}."


def _percent(share: Fraction) -> str:
    # Rounded down: nothing that is less than a limit may look like it.
    return f"{math.floor(share * 1000) / 10:g}%"
