"""Writes a report for a terminal, or as plain text of a fixed width for a pipe.

Names, commands and origins come from the network: they are never read as markup.
"""

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reuse_proxy.report.words import (
    HOW_TO_POOL,
    MOST,
    clean,
    code_lines,
    leaking,
    others,
    process_line,
    ratio,
    rest_of,
    time_line,
    tunnel_line,
    words_for,
)

if TYPE_CHECKING:
    from reuse_proxy.report.document import (
        ClientEntry,
        Fix,
        OriginEntry,
        Report,
        TunnelEntry,
    )

_PIPED_WIDTH: Final = 100
# On a narrower terminal a table's numbers would be cut off; it folds the lines instead.
_LEAST_WIDTH: Final = 72
_INDENT: Final = 3
_CODE_INDENT: Final = 8
_GAP: Final = (0, 2, 0, 0)


def write(report: "Report", out: TextIO) -> None:
    """Write the report: with colours and as wide as the terminal, if it is one."""
    terminal = out.isatty()
    page = io.StringIO()
    console = Console(
        file=page, force_terminal=terminal, width=None if terminal else _PIPED_WIDTH
    )
    console.width = max(console.width, _LEAST_WIDTH)
    _print(report, console)
    lines = page.getvalue().rstrip("\n").split("\n")
    out.write(writable("".join(f"{line.rstrip()}\n" for line in lines), out))


def writable(text: str, out: TextIO) -> str:
    """Write what a stream's encoding has no bytes for as escapes."""
    encoding = out.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _print(report: "Report", console: Console) -> None:
    console.print(Text(clean(report["summary"]), style="bold"))
    console.print(Text(time_line(report), style="dim"))
    bad, good = leaking(report), others(report)
    if bad:
        _print_heading("Clients that leak", console)
        _print_leaks(bad, console)
    if good:
        _print_heading("Other clients" if bad else "Clients", console)
        _print_rows(_clients(good[:MOST]), good, console)
    if report["origins"]:
        _print_heading("Origins", console)
        _print_rows(_origins(report["origins"][:MOST]), report["origins"], console)
    if report["tunnels"]:
        _print_heading("Tunnels that could have been pooled", console)
        _print_tunnels(report["tunnels"], console)


def _print_heading(text: str, console: Console) -> None:
    console.print()
    console.print(Text(text.upper(), style="bold cyan"))
    console.print()


def _print_rows(
    table: Table, entries: Sequence[object], console: Console, indent: int = _INDENT
) -> None:
    console.print(Padding(table, (0, 0, 0, indent)))
    _print_rest(entries, console)


def _print_rest(entries: Sequence[object], console: Console) -> None:
    if rest := rest_of(entries):
        console.print(Padding(Text(rest, style="dim"), (0, 0, 0, _INDENT)))


# Clients that leak...


def _print_leaks(entries: "list[ClientEntry]", console: Console) -> None:
    for number, entry in enumerate(entries[:MOST]):
        if number:
            console.print()
        _print_leak(entry, console)
    if rest := rest_of(entries):
        console.print()
        console.print(Text(rest, style="dim"))


def _print_leak(entry: "ClientEntry", console: Console) -> None:
    console.print(
        Text.assemble(
            (clean(entry["client"]), "bold red"),
            f": {words_for(entry['verdict'])} ",
            (f"({clean(entry['verdict'])})", "dim"),
        ),
        soft_wrap=True,
    )
    facts = Table.grid(padding=_GAP)
    facts.add_column(style="dim", min_width=_CODE_INDENT - _INDENT - 2)
    facts.add_column(overflow="fold")
    facts.add_row("why", Text(clean(entry["evidence"])))
    for number, process in enumerate(entry["processes"]):
        facts.add_row("" if number else "who", Text(process_line(process)))
    if entry["fix"] is not None:
        facts.add_row("fix", Text(clean(entry["fix"]["summary"]), style="green"))
        facts.add_row("", _steps(entry["fix"]))
    console.print(Padding(facts, (0, 0, 0, _INDENT)))
    if entry["fix"] is not None:
        _print_code(code_lines(entry["fix"]), console)


def _steps(fix: "Fix") -> Table:
    steps = Table.grid(padding=(0, 1, 0, 0))
    steps.add_column(style="dim", justify="right")
    steps.add_column(overflow="fold")
    for number, step in enumerate(fix["steps"], 1):
        steps.add_row(f"{number}.", Text(clean(step)))
    return steps


def _print_code(lines: list[str], console: Console) -> None:
    if lines:
        console.print()
    for line in lines:
        # Not wrapped: somebody copies it.
        console.print(Text(" " * _CODE_INDENT + line, style="cyan"), soft_wrap=True)


# Tables...


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=_GAP, header_style="dim")
    table.add_column(first, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _clients(entries: "Iterable[ClientEntry]") -> Table:
    table = _table(
        "\nclient", "\nrequests", "\nconnections", "requests per\nconnection"
    )
    table.add_column("\nverdict", overflow="fold")
    for entry in entries:
        good = entry["verdict"] == "ok"
        table.add_row(
            Text(clean(entry["client"])),
            f"{entry['requests']:,}",
            f"{entry['connections']:,}",
            ratio(entry["requests_per_connection"]),
            Text(words_for(entry["verdict"]), style="green" if good else "dim"),
        )
    return table


def _origins(entries: "Iterable[OriginEntry]") -> Table:
    table = _table(
        "\norigin",
        "\nrequests",
        "connections\nopened",
        "\nreused",
        "\ntunnels",
        "saved\n(estimate)",
    )
    for entry in entries:
        table.add_row(
            Text(clean(entry["origin"])),
            f"{entry['requests']:,}",
            f"{entry['opened']:,}",
            f"{entry['reused']:,}",
            f"{entry['tunnels']:,}",
            Text(f"{entry['estimated_connections_saved']:,}", style="green"),
        )
    return table


def _print_tunnels(entries: "list[TunnelEntry]", console: Console) -> None:
    indent, deeper = (0, 0, 0, _INDENT), (0, 0, 0, _CODE_INDENT)
    console.print(Padding(Text(HOW_TO_POOL, style="dim"), indent))
    for entry in entries[:MOST]:
        console.print()
        origin = (clean(entry["origin"]), "bold")
        line = Text.assemble(origin, f": {tunnel_line(entry)}")
        console.print(Padding(line, indent))
        for flag in (entry["origination"], entry["interception"]):
            console.print(Padding(Text(clean(flag), style="cyan"), deeper))
    if len(entries) > MOST:
        console.print()
        _print_rest(entries, console)
