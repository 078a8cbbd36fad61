"""What to change in a client's program: the advice of its family for its verdict.

Pure.  The texts are in ``advice``; what is true of every family is added here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reuse_proxy.ledger.advice import (
    go,
    java,
    node,
    others,
    php,
    python,
    python_others,
    ruby,
    shell,
)
from reuse_proxy.ledger.advice.guide import Advice, Guide
from reuse_proxy.ledger.family import Family


@dataclass(frozen=True, slots=True)
class Fix:
    """A sentence, one to four steps, and a few lines of code or none."""

    family: str
    summary: str
    steps: tuple[str, ...]
    code: tuple[str, ...]


GUIDES: Final[Mapping[Family, Guide]] = {
    Family.GO: go.GO,
    Family.REQUESTS: python.REQUESTS,
    Family.HTTPX: python.HTTPX,
    Family.AIOHTTP: python.AIOHTTP,
    Family.URLLIB: python_others.URLLIB,
    Family.URLLIB3: python_others.URLLIB3,
    Family.PYTHON: python_others.PYTHON,
    Family.NODE: node.NODE,
    Family.JAVA: java.JAVA,
    Family.PHP: php.PHP,
    Family.RUBY: ruby.RUBY,
    Family.PERL: others.PERL,
    Family.DOTNET: others.DOTNET,
    Family.CURL: shell.CURL,
    Family.WGET: shell.WGET,
    Family.UNKNOWN: others.UNKNOWN,
}

# What is left to gain, or who pays, whatever the program is written in.
_COSTS: Final = {
    "connection_per_request": (
        "reuse-proxy cures that upstream, but the program still pays for a local"
        " connection each time"
    ),
    "abandons_body": (
        "reuse-proxy reads the rest for it, but only up to drain_max_bytes"
        " and drain_timeout"
    ),
    "never_reads": "reuse-proxy resets such connections after client_stall_timeout",
    "unpoolable_tunnels": "no proxy can pool what goes through CONNECT unseen",
}
_MOST_STEPS: Final = 4
_STOP_CLOSING: Final = (
    "Stop sending Connection: close, which most of its requests carry: {}."
)
_HTTPS: Final = (
    "Expect no such help for its https:// tunnels: those are never pooled upstream."
)
_ORIGINATE: Final = (
    "Or ask for http:// and name the host in originate_tls: reuse-proxy speaks TLS."
)
_INTERCEPT: Final = "Or name the host in intercept, and trust the local CA ({}; see reuse-proxy ca show)."


def fix_for(
    verdict: str,
    family: Family,
    *,
    tunnels: bool = False,
    close_requests: bool = False,
) -> Fix | None:
    """Return what to change in a program, or nothing where nothing needs a change.

    Args:
        verdict: what it does wrong.
        family: what kind of program it is.
        tunnels: whether it uses tunnels as well.
        close_requests: whether most of its requests carry ``Connection: close``.
    """
    if verdict not in _COSTS:
        return None
    guide = GUIDES[family]
    advice = _advice(guide, verdict)
    steps = _steps(verdict, guide, tunnels=tunnels, close_requests=close_requests)
    summary = f"{advice.summary}; {_COSTS[verdict]}."
    return Fix(str(family), summary, steps[:_MOST_STEPS], advice.code)


def _advice(guide: Guide, verdict: str) -> Advice:
    return {
        "connection_per_request": guide.connection_per_request,
        "abandons_body": guide.abandons_body,
        "never_reads": guide.never_reads,
        "unpoolable_tunnels": guide.unpoolable_tunnels,
    }[verdict]


def _steps(
    verdict: str, guide: Guide, *, tunnels: bool, close_requests: bool
) -> tuple[str, ...]:
    """Return the steps, the most important ones first."""
    steps = _advice(guide, verdict).steps
    if verdict == "unpoolable_tunnels":
        return (*steps, _ORIGINATE, _INTERCEPT.format(guide.trust))
    if verdict == "never_reads":
        return steps
    if close_requests:
        steps = (_STOP_CLOSING.format(guide.keep_alive), *steps)
    return (*steps, _HTTPS) if tunnels else steps
