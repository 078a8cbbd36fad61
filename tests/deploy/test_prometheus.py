"""The files of deploy/prometheus, as promtool and a reader see them.

What a real Prometheus makes of them is in test_monitoring.py.
"""

import subprocess

import pytest
import yaml

from tests.support.programs import need
from tests.support.prometheus import FOLDER, quickened, rules, unknown_metrics

MAX_README_LINES = 30
RULES = rules("rules.yml") + rules("alerts.yml")
ALERTS = [rule["alert"] for rule in rules("alerts.yml")]
TESTS = yaml.safe_load((FOLDER / "rules_test.yml").read_text("ascii"))["tests"]


@pytest.mark.parametrize(
    "arguments",
    [
        "check config prometheus.yml",
        "check rules rules.yml alerts.yml",
        "test rules rules_test.yml",
    ],
)
def test_promtool_is_content(arguments):
    """With what Prometheus itself reads, and with the tests of the rules."""
    done = subprocess.run(  # noqa: S603 - Debian's own
        [need("promtool"), *arguments.split()],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_tested_with_what_fires_it_and_what_does_not(alert):
    """In rules_test.yml: not before, then, and not after."""
    expected = [
        bool(case["exp_alerts"])
        for test in TESTS
        for case in test.get("alert_rule_test", ())
        if case["alertname"] == alert
    ]

    assert {True, False} <= set(expected)


@pytest.mark.parametrize(
    "rule", RULES, ids=lambda rule: rule.get("record", rule.get("alert"))
)
def test_every_metric_of_a_rule_is_documented_or_recorded(rule):
    """It stands in docs/metrics.md, or is the name of another rule."""
    recorded = {r["record"] for r in RULES if "record" in r}
    words = rule["expr"].replace("(", " ").split()
    used = {
        word.partition("{")[0].strip("()") for word in words if word.count(":") == 2
    }

    assert unknown_metrics(rule["expr"]) == set()
    assert used <= recorded


def test_quickened_files_differ_in_their_durations_alone():
    """What test_monitoring.py runs is what is shipped."""
    text = (
        "a: rate(b[5m]) + c offset 1h\nfor: 10m\nscrape_interval: 15s\nrate5m: in 5m\n"
    )

    assert quickened(text) == (
        "a: rate(b[5000ms]) + c offset 60000ms\n"
        "for: 10000ms\nscrape_interval: 250ms\nrate5m: in 5m\n"
    )


def test_the_readme_stays_short():
    """Who wants more reads the rules."""
    assert (
        len((FOLDER / "README.md").read_text("ascii").splitlines()) <= MAX_README_LINES
    )
