"""A report as Markdown: the whole text, and what hostile names cannot do to it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_proxy.report.markdown import markdown
from tests.support.reports import PER_REQUEST_FIX, client, origin, report, sample

HOSTILE = [
    "a|b",
    "`a`",
    "<b>a</b>",
    "@everyone",
    "#12",
    "a\nb",
    "[x](http://evil.example)",
    "www.evil.example",
    "</details>",
    "\u202eabc",
    "\x1b[31m",
]


def rows(text):
    """Table rows, as lists of their cells."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]


def test_the_sample_is_written_whole():
    """Heading, sentence, clients with their fixes folded away, origins, tunnels."""
    text = markdown(sample())

    headings = re.findall(r"^#+ .*$", text, re.MULTILINE)
    assert headings == [
        "## Connection reuse",
        "### Clients",
        "### Origins",
        "### Tunnels that could have been pooled",
    ]
    assert text.count("<details>") == text.count("</details>") == 3
    assert (
        "| `billing-cron` | 1,600 | 1,600 | 1.0 |"
        " **opens a connection per request** (`connection_per_request`) |" in text
    )
    assert "```\nsession = requests.Session()\nfor url in urls:\n" in text


def test_a_client_that_is_fine_has_nothing_to_unfold():
    """And empty sections are left out."""
    text = markdown(report(clients=[client("good")]))

    assert "| `good` | 250 | 5 | 50.0 | ok |" in text
    assert "<details>" not in text
    assert "### Origins" not in text
    assert "### Tunnels" not in text


def test_more_than_twenty_are_counted_only():
    """Whoever wants all takes the JSON."""
    text = markdown(report(origins=[origin(f"http://o{n}") for n in range(25)]))

    assert "`http://o19`" in text
    assert "`http://o20`" not in text
    assert "... and 5 more; --json has all of them." in text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_one_cell_of_a_code_span(name):
    """It ends no table, opens no element, mentions and links nobody."""
    entries = [client(name), client(name, "never_reads", fix=PER_REQUEST_FIX)]

    text = markdown(
        report(clients=entries, origins=[origin(name)], summary=f"{name} leaks.")
    )

    table = rows(text)
    assert {len(row) for row in table} == {5, 6}
    cells = [row[0] for row in table if row[0].startswith("`")]
    assert len(cells) == 3
    assert all(re.fullmatch(r"`[^`|\n]+`", cell) for cell in cells)
    assert len(set(cells)) == 1
    outside = re.sub(r"`[^`]*`|<code>[^<]*</code>|```.*?```", "", text, flags=re.DOTALL)
    assert not re.search(r"@everyone|#12|evil|<b>|\x1b|\u202e", outside)
    assert text.count("</details>") - text.count("`</details>`") == 1


def test_a_fence_is_longer_than_any_in_the_code():
    """So that the code cannot end it."""
    fix = PER_REQUEST_FIX | {"code": ["```", "x"]}

    text = markdown(report(clients=[client("a", "never_reads", fix=fix)]))

    assert "\n````\n```\nx\n````\n" in text


@given(st.text(max_size=30))
def test_no_name_breaks_a_table(name):
    """Whatever a client calls itself."""
    text = markdown(report(clients=[client(name)], origins=[origin(name)]))

    assert {len(row) for row in rows(text)} == {5, 6}
