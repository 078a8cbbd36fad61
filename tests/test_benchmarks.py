"""The report of the benchmarks: made of what was measured, and of nothing else."""

import json
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[1]
DOCS = TOP / "docs"
KEPT = "32 keep-alive clients"


def report(results):
    """Return the report of a file of results."""
    command = [sys.executable, str(TOP / "bench/report.py"), str(results)]
    return subprocess.run(  # noqa: S603 - this interpreter, with files of ours
        command, capture_output=True, text=True, check=True
    ).stdout


def record(subject, cpu_us, *, note=""):
    """Return a record of small requests."""
    values = {"cpu_us": cpu_us} if cpu_us else {}
    return {
        "section": "small",
        "case": KEPT,
        "subject": subject,
        "values": values,
        "note": note,
    }


def test_the_document_is_the_report_of_the_results_that_are_kept_beside_it():
    """`python bench/report.py docs/benchmarks.json > docs/benchmarks.md` mends it."""
    expected = report(DOCS / "benchmarks.json")

    assert (DOCS / "benchmarks.md").read_text("utf-8") == expected


def test_every_plot_that_the_document_shows_is_there():
    """And every plot that is there is shown."""
    shown = re.findall(r"\]\(benchmarks/(.+?)\)", (DOCS / "benchmarks.md").read_text())

    assert sorted(shown) == sorted(p.name for p in (DOCS / "benchmarks").iterdir())


def test_a_target_is_judged_by_the_medians_of_the_run(tmp_path):
    """What was not measured is not met in silence."""
    records = [record("reuse-proxy", [50, 70, 900]), record("squid", [100])]
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"facts": {}, "records": records}))

    lines = report(results).splitlines()

    [squid, haproxy] = [li for li in lines if "request, keep-alive, to" in li]
    assert squid.endswith("| \u2264 0.6 x | 0.70 x | **not met** |")
    assert haproxy.endswith("| \u2264 2.5 x | - | not measured |")
    assert f"| {KEPT} | reuse-proxy | 70 (50-900), 0.70x |" in lines


def test_what_failed_is_named_with_its_reason(tmp_path):
    """A proxy that is missing has no row, but is told of."""
    results = tmp_path / "results.json"
    missing = record("privoxy", [], note="left out: privoxy is not installed")
    results.write_text(json.dumps({"facts": {}, "records": [missing]}))

    assert f"* privoxy, {KEPT}: left out: privoxy is not installed" in report(results)
