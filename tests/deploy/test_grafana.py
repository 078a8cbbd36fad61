"""The dashboard's file; what its expressions return is in test_monitoring.py."""

import itertools
import json

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.support.dashboard import (
    DASHBOARD,
    FOLDER,
    PANELS,
    VARIABLES,
    misspelt,
    queries,
    strangers,
)
from tests.support.prometheus import unknown_metrics

MAX_README_LINES = 30
WIDTH = 24


def title_of(panel):
    """Name a panel."""
    return panel["title"]


def test_grafanas_schema_knows_every_field_and_word():
    """Read and written by Grafana's own models, nothing of it is lost."""
    plugins.register_default_plugins()
    model = Dashboard.from_json(DASHBOARD)

    written = json.loads(JSONEncoder().encode(model))

    assert list(strangers(DASHBOARD, written)) == []
    assert list(misspelt(model)) == []


def test_the_dashboard_has_an_address_of_its_own_and_asks_the_chosen_prometheus():
    """Its uid is its URL; a variable chooses among the data sources there are."""
    texts = json.dumps(DASHBOARD)
    sources = {json.dumps(t["datasource"]) for p in PANELS for t in (p, *p["targets"])}

    assert DASHBOARD["uid"] == "reuse-proxy"
    assert sources == {'{"type": "prometheus", "uid": "${datasource}"}'}
    assert DASHBOARD["templating"]["list"][0]["type"] == "datasource"
    assert all(f"${variable['name']}" in texts for variable in VARIABLES)


def test_panels_have_ids_of_their_own_and_fill_their_rows():
    """None overlaps another, and there is no gap: every place is taken once."""
    everything = DASHBOARD["panels"]
    places = [
        (x, y)
        for at in (panel["gridPos"] for panel in everything)
        for x, y in itertools.product(
            range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
        )
    ]
    bottom = 1 + max(y for _, y in places)

    assert len({panel["id"] for panel in everything}) == len(everything)
    assert sorted(places) == sorted(itertools.product(range(WIDTH), range(bottom)))


@pytest.mark.parametrize("panel", PANELS, ids=title_of)
def test_a_panel_says_what_it_shows_and_in_what_unit(panel):
    """A description for whoever is called at night; states have words, not units."""
    defaults = panel["fieldConfig"]["defaults"]

    assert len(panel["description"]) > 20
    assert "unit" in defaults or "mappings" in defaults


@pytest.mark.parametrize("query", queries(), ids=str)
def test_every_metric_of_the_dashboard_is_documented(query):
    """It stands in docs/metrics.md."""
    assert unknown_metrics(query.expression) == set()


def test_provisioning_finds_the_dashboard_and_a_default_data_source():
    """The mounts that the README names lead to both."""
    provider = FOLDER / "provisioning/dashboards/reuse-proxy.yml"
    source = FOLDER / "provisioning/datasources/prometheus.yml"
    readme = (FOLDER / "README.md").read_text("ascii")
    (provided,) = yaml.safe_load(provider.read_text("ascii"))["providers"]
    (prometheus,) = yaml.safe_load(source.read_text("ascii"))["datasources"]

    assert provided["options"]["path"] in readme
    assert (prometheus["type"], prometheus["isDefault"]) == ("prometheus", True)
    assert len(readme.splitlines()) <= MAX_README_LINES
