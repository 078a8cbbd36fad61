"""`reuse-proxy check`: the settings in effect and where each one comes from."""

import json
import sys
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reuse_proxy.config.loading import Loaded
from reuse_proxy.parts import files

_BARE = ("true", "false")


def run(loaded: Loaded, out: TextIO | None = None) -> int:
    """Print a table to a terminal, and a TOML file to anything else.

    Raises:
        SettingsError: a file that a setting names cannot be used.
    """
    files(loaded)
    stream = sys.stdout if out is None else out
    if stream.isatty():
        _print_table(loaded, stream)
    else:
        _print_toml(loaded, stream)
    return 0


def _print_table(loaded: Loaded, stream: TextIO) -> None:
    table = Table("setting", "value", "source")
    for row in loaded.effective():
        # Text, because a plain "[::1]:4128" would be read as markup.
        table.add_row(Text(row.name), Text(row.value), Text(row.source))
    console = Console(file=stream)
    console.print(table)
    for warning in loaded.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"), soft_wrap=True)


def _print_toml(loaded: Loaded, stream: TextIO) -> None:
    rows = [(row, _literal(row.value)) for row in loaded.effective()]
    name_width = max(len(row.name) for row, _ in rows)
    # The lists of networks and ports are long; all other values fit.
    value_width = min(30, max(len(literal) for _, literal in rows))
    stream.writelines(
        f"{row.name:<{name_width}} = {literal:<{value_width}}  # {row.source}\n"
        for row, literal in rows
    )
    stream.writelines(f"# warning: {warning}\n" for warning in loaded.warnings)


def _literal(text: str) -> str:
    if text.isdecimal() or text in _BARE:
        return text
    return json.dumps(text, ensure_ascii=False)
