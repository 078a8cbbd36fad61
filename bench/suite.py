"""`make bench`: every section in one run, as JSON, a Markdown report and plots.

A section that fails is named, and the others go on; so is a program that is missing.
All runs are kept in bench/results/, a whole one in docs/ as well.
"""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from facts import facts
from records import Record, Results
from report import markdown
from sections import SECTIONS
from setting import TOP, Bench, setting

RESULTS = Path(__file__).resolve().parent / "results"
_DOCS = TOP / "docs"
_INTERRUPTED = 130


def main() -> int:
    """Measure, and keep what was measured."""
    options = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    command = f"bench/suite.py --rounds {options.rounds} --seconds {options.seconds}"
    try:
        with setting(options.rounds, options.seconds, options.tree) as bench:
            told = facts(bench.tree, command)
            results = Results(told, _measure(bench, options.only))
    except KeyboardInterrupt:
        return _INTERRUPTED
    kept = keep(results, "suite")
    sys.stderr.write(f"results: {kept}\n")
    if options.only == list(SECTIONS):
        _publish(results)
    else:
        sys.stdout.write(markdown(results))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Benchmarks, side by side.")
    parser.add_argument(
        "--only",
        type=_names,
        default=list(SECTIONS),
        metavar="SECTION[,SECTION...]",
        help=f"of {', '.join(SECTIONS)}; the report is printed",
    )
    parser.add_argument("--rounds", type=int, default=3, help="of each load")
    parser.add_argument("--seconds", type=int, default=1, help="of each round")
    parser.add_argument("--tree", type=Path, default=TOP, help="source tree to measure")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in SECTIONS]:
        raise argparse.ArgumentTypeError(f"no such section: {', '.join(unknown)}")
    return [name for name in SECTIONS if name in names]


def _measure(bench: Bench, names: Sequence[str]) -> list[Record]:
    records = []
    for name in names:
        begun = time.monotonic()
        with bench.section(name) as apart:
            records += [_without_paths(r, bench.folder) for r in _run(apart, name)]
        bench.tell(f"{name}: {time.monotonic() - begun:.0f} s")
    return records


def _run(bench: Bench, name: str) -> list[Record]:
    try:
        return SECTIONS[name].run(bench)
    except Exception as exc:  # noqa: BLE001 - the other sections are worth having
        bench.tell(f"{name} is left out: {type(exc).__name__}: {exc}")
        note = f"left out: {type(exc).__name__}: {exc}"
        return [Record(name, "all", "", note=note)]


def _without_paths(record: Record, folder: Path) -> Record:
    """Take this run's folder out of a note: nobody can look there any more."""
    return replace(record, note=record.note.replace(f"{folder}/", ""))


def keep(results: Results, kind: str) -> str:
    """Write a run's results beside those of others; return where, for a reader."""
    RESULTS.mkdir(exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = RESULTS / f"{kind}-{stamp}.json"
    results.write(path)
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _publish(results: Results) -> None:
    """Write the report into docs/, with its plots if they can be drawn."""
    results.write(_DOCS / "benchmarks.json")
    (_DOCS / "benchmarks.md").write_text(markdown(results))
    try:
        from plots import draw_all  # noqa: PLC0415 - matplotlib is an extra
    except ImportError as exc:
        sys.stderr.write(f"no plots: {exc}\n")
        return
    draw_all(results, _DOCS / "benchmarks")


if __name__ == "__main__":
    sys.exit(main())
