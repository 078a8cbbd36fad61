"""`make bench-quick`: CPU per request, side by side with other proxies, in a minute.

A short form of the suite, over the same modules.  The table goes to standard output,
all rounds to bench/results/.
"""

import argparse
import signal
import sys

import bodies
import small
from cells import EXPLANATION, REFERENCE, cell, column, table
from facts import QUICK, facts
from measure import FailedError
from peers import FIXED_UPSTREAM, UnavailableError
from records import Record, Results
from setting import Bench, setting
from suite import keep
from turns import OURS, named, peers

_INTERRUPTED = 130
_SUBJECTS = (OURS, "squid", "haproxy")
# Section, case, value.
_COLUMNS = (
    (small.SECTION, small.KEPT, "cpu_us"),
    (small.SECTION, small.NEW, "cpu_us"),
    (bodies.SECTION, bodies.DOWN, "cpu_s_gb"),
    (bodies.SECTION, bodies.TUNNEL, "cpu_s_gb"),
    (small.SECTION, small.KEPT, "rate"),
    (small.SECTION, small.NEW, "rate"),
    (bodies.SECTION, bodies.DOWN, "mb_s"),
    (bodies.SECTION, bodies.TUNNEL, "mb_s"),
    (small.SECTION, small.KEPT, "origin_connections"),
)


def main() -> int:
    """Measure and print; missing programs are named and left out."""
    options = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    command = f"bench/quick.py --rounds {options.rounds} --seconds {options.seconds}"
    try:
        with setting(options.rounds, options.seconds) as bench:
            told = facts(bench.tree, command, QUICK)
            results = Results(told, _measure(bench))
    except (UnavailableError, FailedError) as exc:
        sys.stderr.write(f"{exc}; nothing was measured\n")
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    told_as_text = "; ".join(f"{name}: {text}" for name, text in results.facts.items())
    sys.stdout.write(
        f"{_table(results)}\n\n{EXPLANATION}\n{told_as_text}\n\n"
        f"All rounds: {keep(results, 'quick')}\n"
    )
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="CPU per request, side by side.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each load")
    parser.add_argument("--seconds", type=int, default=2, help="of each wrk round")
    return parser.parse_args()


def _measure(bench: Bench) -> list[Record]:
    starts = {
        name: start for name, start in named(peers(bench)).items() if name in _SUBJECTS
    }
    with bench.section("small") as apart:
        records = small.measure(apart, (small.KEPT, small.NEW), starts)
    with bench.section("bodies") as apart:
        return records + bodies.measure(apart, (bodies.DOWN, bodies.TUNNEL), starts)


def _table(results: Results) -> str:
    head = [
        "one core",
        *(f"{case}: {column(value).title}" for _, case, value in _COLUMNS),
    ]
    rows = []
    for subject in _SUBJECTS:
        fixed = " (fixed upstream)" if subject in FIXED_UPSTREAM else ""
        cells = [
            cell(
                results.find(section, case, subject),
                value,
                results.find(section, case, REFERENCE),
            )
            for section, case, value in _COLUMNS
        ]
        rows.append([subject + fixed, *cells])
    return table(head, rows)


if __name__ == "__main__":
    sys.exit(main())
