"""What a report says in words, the same on a terminal and in Markdown.

Names, commands and origins come from the network: what could steer a terminal, or
break a line, is written as an escape.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from reuse_proxy.report.document import LEAKS

if TYPE_CHECKING:
    from reuse_proxy.report.document import (
        ClientEntry,
        Fix,
        Process,
        Report,
        TunnelEntry,
    )

# So many of each kind are shown.
MOST: Final = 20
WORDS: Final = {
    "never_reads": "does not read its responses",
    "abandons_body": "leaves responses unread",
    "connection_per_request": "opens a connection per request",
    "unpoolable_tunnels": "opens short tunnels, which are not pooled",
    "ok": "ok",
    "too_little_data": "too little data yet",
}
NONE: Final = "-"
HOW_TO_POOL: Final = (
    "Either of two flags of serve would pool them: the first where the program may ask"
    " for http://, the second where it keeps https:// and trusts the local CA."
)


def words_for(verdict: str) -> str:
    """Say a verdict in words for people."""
    return WORDS.get(verdict, clean(verdict))


def leaking(report: "Report") -> "list[ClientEntry]":
    """Return the clients that leak, the worst first."""
    return [entry for entry in report["clients"] if entry["verdict"] in LEAKS]


def others(report: "Report") -> "list[ClientEntry]":
    """Return the clients that do not leak, or not that we know of."""
    return [entry for entry in report["clients"] if entry["verdict"] not in LEAKS]


def rest_of(entries: Sequence[object]) -> str:
    """Say how many are not shown; empty if all are."""
    more = len(entries) - MOST
    return f"... and {more:,} more; --json has all of them." if more > 0 else ""


def time_line(report: "Report") -> str:
    """Say what time it all was counted over."""
    seconds = round(report["seconds"])
    minutes, hours = seconds // 60, seconds // 3600
    if minutes < 1:
        return f"Counted over {seconds} s."
    if hours < 1:
        return f"Counted over {minutes} min."
    return f"Counted over {hours:,} h {minutes % 60} min."


def ratio(number: float | None) -> str:
    """Write requests per connection."""
    return NONE if number is None else f"{number:,.1f}"


def clean(text: str) -> str:
    """Write what is not printable as escapes: controls, line ends, reversals."""
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def process_line(process: "Process") -> str:
    """Write a process as a line, fit for a terminal."""
    return f"pid {process['pid']}: {clean(process['command'])}"


def code_lines(fix: "Fix") -> list[str]:
    """Return the lines of a fix's code, fit for a terminal."""
    return [
        clean(line.expandtabs(4).rstrip())
        for part in fix["code"]
        for line in part.split("\n")
    ]


def tunnel_line(entry: "TunnelEntry") -> str:
    """Say how many tunnels went to an origin, and how many were short."""
    tunnels = entry["tunnels"]
    noun = "tunnel" if tunnels == 1 else "tunnels"
    return f"{tunnels:,} {noun}, {entry['short']:,} shorter than 5 seconds"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
