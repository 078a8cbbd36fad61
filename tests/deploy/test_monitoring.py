"""Debian's Prometheus scrapes a fleet in trouble: alerts fire and clear, panels have data.

It runs on the shipped files, sixty times as fast (tests/support/prometheus.py), and
tests/support/trouble.py tells what happens.  The tests ask Prometheus about it afterwards.
"""

import asyncio
import contextlib

import pytest

from tests.support.dashboard import VARIABLES, filled_in, queries
from tests.support.programs import need
from tests.support.prometheus import Prometheus, rules
from tests.support.tls import OriginAuthority
from tests.support.trouble import PER_ORIGIN, SOCKETS, tell

ALERTS = [rule["alert"] for rule in rules("alerts.yml")]

# The story is told once, by the first test.
pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Tell the story; Prometheus stays, and remembers it."""
    need("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    authority = OriginAuthority(tmp_path_factory.mktemp("origins"))
    with contextlib.ExitStack() as stack:

        def run(*arguments):
            return stack.enter_context(Prometheus(*arguments))

        yield asyncio.run(tell(folder, authority, run))


def labels_of(alert):
    """Return what an alert says of whom it is about."""
    return {k: v for k, v in alert["labels"].items() if k != "alertname"}


def level_of(record):
    """Return the labels that a recorded name promises, beside those of the scrape."""
    level = record.partition(":")[0].replace("code_class", "code-class")
    return {word.replace("-", "_") for word in level.split("_")} | {"job"}


def test_no_alert_is_near_while_all_is_well(story):
    """A load on two proxies, which reuse their connections."""
    assert story.prometheus.query("ALERTS", at=story.before) == []


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_fires_for_its_trouble_alone_and_clears_with_it(story, name):
    """One of each, which names whom it is about; none once the trouble is over."""
    (alert,) = [a for a in story.alerts if a["labels"]["alertname"] == name]
    fired = f'ALERTS{{alertname="{name}", alertstate="firing"}}'

    assert story.expected[name].items() <= labels_of(alert).items()
    assert len(story.prometheus.query(fired, at=story.worst)) == 1
    assert story.prometheus.query(fired, at=story.after) == []


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_there_is_and_what_to_do(story, name):
    """With names and values filled in."""
    (alert,) = [a for a in story.alerts if a["labels"]["alertname"] == name]
    said = " ".join(alert["annotations"].values())

    assert set(alert["annotations"]) == {"summary", "description"}
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert next(iter(story.expected[name].values())) in said
    assert "<" not in said


def test_requests_that_wait_are_told_with_their_origin(story):
    """The alert asks Prometheus for it when it fires."""
    (alert,) = [
        a for a in story.alerts if a["labels"]["alertname"] == "ReuseProxyRequestsWait"
    ]

    told = alert["annotations"]["description"]
    assert told.startswith(
        f"Most of them wait for {story.slow} ({PER_ORIGIN} requests)."
    )


@pytest.mark.parametrize("rule", rules("rules.yml"), ids=lambda rule: rule["record"])
def test_a_recording_rule_returns_data_at_the_level_of_its_name(story, rule):
    """Also for a fleet: the instance is gone where the level does not name it."""
    samples = story.prometheus.query(rule["record"], at=story.worst)

    assert samples
    for sample in samples:
        assert set(sample["metric"]) - {"__name__"} == level_of(rule["record"])


def test_sums_over_the_fleet_are_what_the_origin_sees(story):
    """Two proxies hold connections to the slow origin; it has counted them itself."""
    ask = f'origin:reuse_proxy_upstream_connections:sum{{origin="{story.slow}"}}'
    each = (
        f'sum by (instance) (reuse_proxy_upstream_connections{{origin="{story.slow}"}})'
    )

    counts = sorted(
        float(sample["value"][1])
        for sample in story.prometheus.query(each, at=story.worst)
    )

    assert counts == [PER_ORIGIN, SOCKETS - 1]
    assert story.prometheus.value(ask, at=story.worst) == story.held == sum(counts)


@pytest.mark.parametrize("query", queries(), ids=str)
def test_every_expression_of_the_dashboard_returns_data(story, query):
    """With the labels that its legend names."""
    samples = story.prometheus.query(filled_in(query.expression), at=story.worst)

    assert samples
    assert query.labels <= {label for sample in samples for label in sample["metric"]}


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable["name"])
def test_every_variable_of_the_dashboard_has_values(story, variable):
    """Those that can be chosen: the job, three proxies, the origins."""
    query = variable["query"]["query"]
    selector, label = query.removeprefix("label_values(")[:-1].rsplit(", ", 1)

    values = story.prometheus.ask(
        f"label/{label}/values",
        **{"match[]": filled_in(selector), "start": story.before, "end": story.worst},
    )

    known = {"job": 1, "instance": 3}
    assert len(values) == known.get(label, len(values)) > 0
    assert label != "origin" or story.slow in values
