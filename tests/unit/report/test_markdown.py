"""A report for a pull request: the whole text, and what hostile names cannot do to it."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reuse_proxy.report.markdown import markdown
from tests.support.reports import PER_REQUEST_FIX, client, origin, report, sample

WHOLE = """\
## Connection reuse

5 clients made 2,310 requests and 320 tunnels over 1,897 connections; reuse-proxy opened 341 to 3 origins, which saved an estimated 1,593 connections and 41.6 s of handshakes. 3 clients leak, Go-http-client at 10.0.0.7 worst.
Counted over 2 h 1 min.

### Clients

| client | requests | connections | requests per connection | verdict |
| --- | ---: | ---: | ---: | --- |
| `Go-http-client at 10.0.0.7` | 450 | 130 | 3.5 | **leaves responses unread** (`abandons_body`) |
| `billing-cron` | 1,600 | 1,600 | 1.0 | **opens a connection per request** (`connection_per_request`) |
| `curl at 127.0.0.1` | 0 | 160 | - | **opens short tunnels, which are not pooled** (`unpoolable_tunnels`) |
| `web` | 250 | 5 | 50.0 | ok |
| `node at 10.0.0.9` | 10 | 2 | 5.0 | too little data yet |

<details>
<summary><code>Go-http-client at 10.0.0.7</code> leaves responses unread: why, and how to fix it</summary>

120 of 450 responses were not read to the end: it left 115 while they were arriving and it closed 5 unread.

**Read the body to its end, then close it.**

1. Also where only the status is of interest, and after an error.

```
defer func() {
    io.Copy(io.Discard, response.Body)
    response.Body.Close()
}()
```

</details>

<details>
<summary><code>billing-cron</code> opens a connection per request: why, and how to fix it</summary>

1600 requests came over 1600 connections: 1600 carried one request each.

- `pid 4711: python3 billing/cron.py --tenant north`
- `pid 4712: python3 billing/cron.py --tenant south`

**Keep one requests.Session for the life of the program.**

1. Make it outside of the loop: a call of `requests.get` opens a connection of its own, and closes it again.
2. Send every request with it.

```
session = requests.Session()
for url in urls:
    response = session.get(url, timeout=10)
```

</details>

<details>
<summary><code>curl at 127.0.0.1</code> opens short tunnels, which are not pooled: why, and how to fix it</summary>

320 tunnels were opened for `https://`, each with a connection to its origin; 311 ended within 5 seconds.

</details>

### Origins

| origin | requests | connections opened | reused | tunnels | connections saved (estimate) |
| --- | ---: | ---: | ---: | ---: | ---: |
| `https://api.example.com:443` | 0 | 320 | 0 | 320 | 0 |
| `http://prices.internal:8080` | 1,840 | 6 | 1,834 | 0 | 1,590 |
| `http://files.internal` | 470 | 15 | 449 | 0 | 3 |

### Tunnels that could have been pooled

Either of two flags of serve would pool them: the first where the program may ask for `http://`, the second where it keeps `https://` and trusts the local CA.

| origin | tunnels | shorter than 5 seconds | either | or |
| --- | ---: | ---: | --- | --- |
| `api.example.com:443` | 320 | 311 | `--originate-tls api.example.com` | `--intercept api.example.com` |
"""
HOSTILE = [
    "a|b",
    r"a\|b",
    "a`b",
    "`` ` ``",
    "\\",
    "</code></summary></details><script>alert(1)</script>",
    "<!--",
    "@octocat",
    "me@evil.example",
    "[click](http://evil.example)",
    "![x](http://evil.example/x.png)",
    "https://evil.example/",
    "www.evil.example",
    "#12 and octo/cat#12",
    "\n# Heading\n\n| a |\n| --- |\n",
    "\r</details>",
    "**bold** _it_ ~~no~~ $x$",
    "&lt;b&gt; &#64;octocat",
    "\u202eabc",
    "\x1b[31m",
    "```\n",
    "`a b`c `d`",
]


def parse(text):
    """Read Markdown with tables, as GitHub does; return its tokens."""
    return MarkdownIt("commonmark").enable("table").parse(text)


def inline_of(tokens):
    """Return the tokens within the lines."""
    return [child for token in tokens for child in token.children or ()]


def everywhere(name):
    """Make a report that has a text in each place where there is one."""
    fix = {"family": name, "summary": name, "steps": [name], "code": [name]}
    seen = [{"pid": 1, "command": name}]
    leak = client(name, "never_reads", evidence=name, fix=fix, processes=seen)
    tunnel = {"origin": name, "tunnels": 2, "short": 1}
    return report(
        summary=name,
        clients=[leak, client(name, name)],
        origins=[origin(name)],
        tunnels=[tunnel | {"origination": name, "interception": name}],
    )


def assert_harmless(name):
    """What a name makes of the text is what any name makes of it."""
    text, plain = markdown(everywhere(name)), markdown(everywhere("name"))
    tokens, expected = parse(text), parse(plain)
    kinds = {token.type for token in inline_of(tokens)}

    assert [t.type for t in tokens if t.level == 0] == [
        t.type for t in expected if t.level == 0
    ]
    assert [t.type for t in tokens].count("td_open") == 5 * 2 + 6 + 5
    assert kinds <= {"text", "code_inline", "strong_open", "strong_close", "softbreak"}
    html = "".join(t.content for t in tokens if t.type == "html_block")
    assert html.count("<") == "".join(
        t.content for t in expected if t.type == "html_block"
    ).count("<")


def test_the_whole_text():
    """Heading, sentence, tables, and a fix to unfold for each leak."""
    assert markdown(sample()) == WHOLE


def test_it_is_what_a_parser_makes_tables_and_fences_of():
    """Three tables, two fences, three details."""
    tokens = parse(markdown(sample()))
    kinds = [token.type for token in tokens]

    assert [kinds.count(kind) for kind in ("table_open", "fence")] == [3, 2]
    html = [token.content for token in tokens if token.type == "html_block"]
    assert [part.split("\n")[0] for part in html] == ["<details>", "</details>"] * 3


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_a_name(name):
    """In every place where there is one."""
    assert_harmless(name)


@given(st.text(st.sampled_from("`|\\<>*_[]()@#&~$!ab.:/-\n ")))
def test_no_name_changes_the_structure(name):
    """Not by any mixture of what Markdown knows."""
    assert_harmless(f"x{name}x")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("@octocat", "`@octocat`"),
        ("see https://evil.example/.", "see `https://evil.example/`."),
        ("WWW.evil.example,", "`WWW.evil.example`,"),
        ("octo/cat#12 leaks.", "`octo/cat#12` leaks."),
        ("a|b", r"`a\x7cb`"),
        ("call `get(a, b)`, twice", "call `get(a, b)`, twice"),
        ("(`get`)", "(`get`)"),
        ("it`s", r"`it\x60s`"),
        ("line\nbreak", r"`line\nbreak`"),
    ],
)
def test_words_of_a_sentence_that_speak_become_code(name, shown):
    """What GitHub would make a link or a mention of, in a sentence as in a name."""
    assert markdown(report(summary=name)).splitlines()[2] == shown


def test_a_name_of_nothing_leaves_its_cell():
    """An empty code span would be two backticks, and take what follows."""
    text = markdown(report(clients=[client(""), client("   ")]))

    assert text.splitlines()[-2:] == ["| - | 250 | 5 | 50.0 | ok |"] * 2


def test_a_client_that_is_fine_has_nothing_to_unfold():
    """Its row is all there is."""
    text = markdown(report(clients=[client("good")]))

    assert "| `good` | 250 | 5 | 50.0 | ok |" in text
    assert "<details>" not in text


def test_a_fence_is_longer_than_any_in_it():
    """The code may be about Markdown."""
    fix = PER_REQUEST_FIX | {"code": ["````", "</details>", "````"]}

    text = markdown(report(clients=[client("a", "never_reads", fix=fix)]))

    (fence,) = [token for token in parse(text) if token.type == "fence"]
    assert fence.content == "````\n</details>\n````\n"


def test_empty_sections_are_left_out():
    """The sentence and the time are all that there is."""
    assert markdown(report()) == (
        "## Connection reuse\n\nNo request has come through the proxy.\n"
        "Counted over 2 h 1 min.\n"
    )


def test_a_leak_without_a_fix_is_told_all_the_same():
    """Verdict and evidence."""
    text = markdown(report(clients=[client("a", "never_reads", evidence="So it is.")]))

    assert text.endswith("</summary>\n\nSo it is.\n\n</details>\n")


@pytest.mark.parametrize("part", ["clients", "origins", "tunnels"])
def test_twenty_are_shown_and_the_rest_is_counted(part):
    """A comment has bounds; whoever wants all takes the document."""
    tunnel = {"tunnels": 1, "short": 1, "origination": "", "interception": ""}
    makers: dict[str, Any] = {
        "clients": lambda name: client(name, "never_reads"),
        "origins": origin,
        "tunnels": lambda name: {"origin": name} | tunnel,
    }
    entries = [makers[part](f"number-{number:02}") for number in range(1, 33)]

    lines = markdown(report(**{part: entries})).splitlines()

    assert sum(line.startswith("| `number-") for line in lines) == 20
    assert "... and 12 more; --json has all of them." in lines
    assert "number-21" not in "".join(lines)


def test_it_goes_into_a_stream_of_any_kind():
    """Its own marks are plain ASCII."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")

    out.write(markdown(sample()))
    out.flush()

    assert out.buffer.getvalue().decode() == markdown(sample())
