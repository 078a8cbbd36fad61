"""The report: Markdown out of results, and of nothing else.

`python bench/report.py docs/benchmarks.json` prints what docs/benchmarks.md has to be.
"""

import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

from cells import EXPLANATION, REFERENCE, cell, column, table
from figures import PLOTS
from records import Record, Results
from sections import SECTIONS
from targets import TARGETS, Target

_INTRODUCTION = f"""\
Made by `make bench` in one run on one machine: proxies in turn, with the core of the
proxy under test to itself and everything else on the others. {EXPLANATION}
HAProxy and nginx are no forward proxies: their upstream is fixed, and they know no
`CONNECT`. The slow proxies are measured in one round. Another run has other numbers;
it is the ratios of one run that can be compared."""
_WIDTH = 96
# Where one number tells all, a table of subjects says more than one of values.
_MATRICES = {"leaks": "connections"}
# From so many subjects in a case on, it has a table of its own.
_MANY = 3


def main() -> int:
    """Print the report of results that were kept."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: report.py RESULTS.json\n")
        return 2
    sys.stdout.write(markdown(Results.read(Path(sys.argv[1]))))
    return 0


def markdown(results: Results) -> str:
    """Write the whole report."""
    parts = [
        "# Benchmarks",
        textwrap.fill(_INTRODUCTION, _WIDTH),
        "## Targets",
        _targets(results),
    ]
    for name in SECTIONS:
        records = [record for record in results.records if record.section == name]
        if records:
            parts += _section(name, records)
    parts += ["## What this is true of", _facts(results)]
    return "\n\n".join(parts) + "\n"


def _targets(results: Results) -> str:
    rows = [_target(target, target.figure(results)) for target in TARGETS]
    return table(["target", "limit", "reached", ""], rows)


def _target(target: Target, reached: float | None) -> list[str]:
    sign = "≥" if target.at_least else "≤"
    limit = f"{sign} {target.limit:g} {target.unit}"
    if reached is None:
        return [target.what, limit, "-", "not measured"]
    met = "met" if target.met(reached) else "**not met**"
    return [target.what, limit, f"{reached:.2f} {target.unit}", met]


def _facts(results: Results) -> str:
    return "\n".join(f"* {name}: {text}" for name, text in results.facts.items())


# Sections...


def _section(name: str, records: list[Record]) -> list[str]:
    section = SECTIONS[name]
    parts = [f"## {section.TITLE}", (section.__doc__ or "").strip()]
    parts += [f"![{alt}](benchmarks/{file})" for file, alt in _plots(name)]
    measured = [record for record in records if record.values]
    if name in _MATRICES:
        parts += _matrices(measured, _MATRICES[name])
    elif measured:
        parts += _tables(measured)
    if notes := _notes(records):
        parts.append(notes)
    return parts


def _plots(section: str) -> list[tuple[str, str]]:
    return [(plot.file, plot.title) for plot in PLOTS if plot.section == section]


def _tables(records: list[Record]) -> list[str]:
    cases = _distinct(record.case for record in records)
    if len(records) < _MANY * len(cases):
        return [_table(records, with_case=True)]
    parts = []
    for case in cases:
        parts += [f"### {case}", _table([r for r in records if r.case == case])]
    return parts


def _table(records: list[Record], *, with_case: bool = False) -> str:
    values = _distinct(name for record in records for name in record.values)
    reference = {r.case: r for r in records if r.subject == REFERENCE}
    head = [*(["case"] if with_case else []), "subject"]
    rows = []
    for record in records:
        cells = [cell(record, name, reference.get(record.case)) for name in values]
        rows.append([*([record.case] if with_case else []), record.subject, *cells])
    return table([*head, *(column(name).title for name in values)], rows)


def _matrices(records: list[Record], value: str) -> list[str]:
    """Return a table for each first word of a case: others have other subjects."""
    words = {record.case: record.case.partition(",")[0] for record in records}
    return [
        _matrix([r for r in records if words[r.case] == word], value)
        for word in _distinct(words.values())
    ]


def _matrix(records: list[Record], value: str) -> str:
    subjects = _distinct(record.subject for record in records)
    cases = _distinct(record.case for record in records)
    found = {(record.case, record.subject): record for record in records}
    rows = [
        [case, *(cell(found.get((case, subject)), value) for subject in subjects)]
        for case in cases
    ]
    return table([column(value).title, *subjects], rows)


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _notes(records: list[Record]) -> str:
    lines = []
    for record in records:
        where = ", ".join(filter(None, (record.subject, record.case)))
        if record.note:
            lines.append(f"* {where}: {record.note}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
