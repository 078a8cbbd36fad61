"""Writes a report as GitHub-flavoured Markdown, for a pull request.

Names come from the network.  They go into code spans, where nothing is markup, a link
or a mention; so do the words of a sentence that could be.
"""

import html
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from reuse_proxy.report.document import LEAKS
from reuse_proxy.report.words import (
    HOW_TO_POOL,
    MOST,
    NONE,
    clean,
    code_lines,
    leaking,
    others,
    process_line,
    ratio,
    rest_of,
    time_line,
    words_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reuse_proxy.report.document import (
        ClientEntry,
        Fix,
        OriginEntry,
        Report,
        TunnelEntry,
    )

# In a sentence: a code span with punctuation around it, or what is between spaces.
_TOKEN: Final = re.compile(
    r"""(?P<before>[("']*)`(?P<code>[^`]+)`(?P<after>[)"'.,;:!?]*)(?!\S)|\S+"""
)
# What may mark up, link, mention or refer; "www." and "://" become links by themselves.
_SPEAKING: Final = re.compile(r"[\\`*_\[\]<>|&~@#$]|://|www\.", re.IGNORECASE)
_PUNCTUATION: Final = ".,;:!?"
_FENCE: Final = re.compile(r"`{3,}")


def markdown(report: "Report") -> str:
    """Return the report as one Markdown text, with a heading of the second level."""
    return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: "Report") -> Iterator[str]:
    yield "## Connection reuse"
    yield ""
    yield _prose(report["summary"])
    yield time_line(report)
    if report["clients"]:
        yield from _heading("Clients")
        yield from _clients([*leaking(report), *others(report)])
        for entry in leaking(report)[:MOST]:
            yield from _details(entry)
    if report["origins"]:
        yield from _heading("Origins")
        yield from _origins(report["origins"])
    if report["tunnels"]:
        yield from _heading("Tunnels that could have been pooled")
        yield _prose(HOW_TO_POOL)
        yield ""
        yield from _tunnels(report["tunnels"])


def _heading(text: str) -> tuple[str, ...]:
    return "", f"### {text}", ""


# Tables...


def _clients(entries: "list[ClientEntry]") -> Iterator[str]:
    yield "| client | requests | connections | requests per connection | verdict |"
    yield "| --- | ---: | ---: | ---: | --- |"
    for entry in entries[:MOST]:
        verdict = _prose(words_for(entry["verdict"]))
        yield _row(
            _code(entry["client"]),
            f"{entry['requests']:,}",
            f"{entry['connections']:,}",
            ratio(entry["requests_per_connection"]),
            f"**{verdict}** ({_code(entry['verdict'])})"
            if entry["verdict"] in LEAKS
            else verdict,
        )
    yield from _rest(entries)


def _origins(entries: "list[OriginEntry]") -> Iterator[str]:
    yield (
        "| origin | requests | connections opened | reused | tunnels"
        " | connections saved (estimate) |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for entry in entries[:MOST]:
        yield _row(
            _code(entry["origin"]),
            f"{entry['requests']:,}",
            f"{entry['opened']:,}",
            f"{entry['reused']:,}",
            f"{entry['tunnels']:,}",
            f"{entry['estimated_connections_saved']:,}",
        )
    yield from _rest(entries)


def _tunnels(entries: "list[TunnelEntry]") -> Iterator[str]:
    yield "| origin | tunnels | shorter than 5 seconds | either | or |"
    yield "| --- | ---: | ---: | --- | --- |"
    for entry in entries[:MOST]:
        yield _row(
            _code(entry["origin"]),
            f"{entry['tunnels']:,}",
            f"{entry['short']:,}",
            _code(entry["origination"]),
            _code(entry["interception"]),
        )
    yield from _rest(entries)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _rest(entries: "Sequence[object]") -> Iterator[str]:
    if rest := rest_of(entries):
        yield ""
        yield rest


# Fixes...


def _details(entry: "ClientEntry") -> Iterator[str]:
    name = html.escape(clean(entry["client"]))
    verdict = html.escape(words_for(entry["verdict"]))
    yield ""
    yield "<details>"
    yield f"<summary><code>{name}</code> {verdict}: why, and how to fix it</summary>"
    yield ""
    yield _prose(entry["evidence"])
    yield from _processes(process_line(process) for process in entry["processes"])
    if entry["fix"] is not None:
        yield from _fix(entry["fix"])
    yield ""
    yield "</details>"


def _processes(lines: "Iterable[str]") -> Iterator[str]:
    for number, line in enumerate(lines):
        if not number:
            yield ""
        yield f"- {_code(line)}"


def _fix(fix: "Fix") -> Iterator[str]:
    yield ""
    yield f"**{_prose(fix['summary'])}**"
    yield ""
    yield from (f"{n}. {_prose(step)}" for n, step in enumerate(fix["steps"], 1))
    lines = code_lines(fix)
    if lines:
        fence = _fence(lines)
        yield from ("", fence, *lines, fence)


def _fence(lines: list[str]) -> str:
    longest = max((len(run) for run in _FENCE.findall("\n".join(lines))), default=2)
    return "`" * (longest + 1)


# Words that others have chosen...


def _code(text: str) -> str:
    """Write a text as a code span that stays one, also in a table."""
    shown = clean(text).replace("`", r"\x60").replace("|", r"\x7c")
    return f"`{shown}`" if shown.strip() else NONE


def _prose(text: str) -> str:
    """Write a sentence, with each word in a code span that could be more than a word."""
    return _TOKEN.sub(_token, clean(text).strip())


def _token(match: re.Match[str]) -> str:
    if match["code"]:
        return f"{match['before']}{_code(match['code'])}{match['after']}"
    word = match[0].rstrip(_PUNCTUATION)
    shown = _code(word) if _SPEAKING.search(word) else word
    return f"{shown}{match[0][len(word) :]}"
