"""docs/clients.md tells of the clients that the tests run, and of no others."""

import re
from pathlib import Path

import pytest

from tests.support.https_clients import CLIENTS
from tests.support.ways import WAYS

DOCUMENT = Path(__file__).parents[1] / "docs" / "clients.md"
TEXT = DOCUMENT.read_text("utf-8")
MAX_LINES = 100


def rows():
    """Read the table of clients: its cells by name of column, for each client."""
    lines = TEXT.split("## What was tried", 1)[1].split("\n## ", 1)[0].splitlines()
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("|")
    ]
    head, _, *body = table
    return {row[0]: dict(zip(head, row, strict=True)) for row in body}


def test_every_client_that_is_tested_has_a_row():
    """And every row a client."""
    assert list(rows()) == list(CLIENTS)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_row_says_what_the_tests_show(name):
    """On which ways it works, and by which variables."""
    row, client = rows()[name], CLIENTS[name]

    told = {way for way in WAYS if row[way] == "yes"}
    assert told == set(client.ways)
    assert {row[way] for way in WAYS} <= {"yes", "no"}
    assert re.findall(r"`(\w+)`", row["proxy variables"]) == list(client.proxies)
    assert row["CA variable"] == f"`{client.ca}`"
    assert re.search(r"\d+\.\d+", row["tried"])


def test_the_document_stays_short_and_its_links_lead_somewhere():
    """Who wants more reads the tests."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT)

    assert len(TEXT.splitlines()) <= MAX_LINES
    assert [link for link in links if not (DOCUMENT.parent / link).exists()] == []
