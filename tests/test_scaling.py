"""docs/scaling.md: made of simulations that repeat, and that agree with theory."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from cluster import Case, Demand, World, count, of_simulated, scale, simulate
from scaling import SECTIONS, rounded
from scaling_tables import number, percent, with_tables
from simulated import Clock, Network, Proxy
from tally import Tally

from reuse_proxy.upstream.books import Limits

DOCS = Path(__file__).parents[1] / "docs"
KEPT = json.loads((DOCS / "scaling.json").read_text("utf-8"))
# Short ones: 3 nodes, some minutes of their time.
BRIEF = Case(3, 10, warm_s=60.0, seconds=60.0)
BURSTS = replace(BRIEF, demand=Demand(burst=10))


# The engine...


def test_a_seed_gives_the_same_run_again_and_another_one_another():
    """So that the document can be held to a fresh run."""
    assert count(BURSTS, 1) == count(BURSTS, 1)
    assert count(BURSTS, 1) != count(BURSTS, 2)


@pytest.mark.parametrize("pods_per_pool", [0, 1, 10, 30])
def test_whatever_the_pools_the_same_is_asked(pods_per_pool):
    """Each pod's requests are its own, so that ways can be compared."""
    world = simulate(replace(BURSTS, pods_per_pool=pods_per_pool))
    baseline = simulate(replace(BURSTS, pods_per_pool=0))

    asked = world.tally.requests + world.tally.refused
    assert asked == pytest.approx(baseline.tally.requests, rel=0.01)


@pytest.mark.parametrize("nodes_per_parent", [0, 3])
def test_what_is_open_is_what_was_opened_and_not_closed(nodes_per_parent):
    """In the tally, and in the books of the real pools."""
    world = World(replace(BURSTS, nodes_per_parent=nodes_per_parent), 7)
    tally = world.tally

    for seconds in range(1, 130):
        world.clock.run(seconds)

        assert tally.opened - tally.closed == tally.open
        assert sum(proxy.pool.sockets for proxy in world.proxies) == tally.open
    assert tally.closed


@pytest.mark.parametrize("cap", [1, 2, 8])
def test_no_pool_ever_has_more_sockets_than_its_cap(cap):
    """Most of all sockets at once is pools x cap, which the bursts reach."""
    counted = count(replace(BURSTS, limits=Limits(max_per_origin=cap)))

    assert counted.most == counted.bound == 3 * cap


def test_parents_alone_are_seen_by_the_origin():
    """With their own cap, whatever the nodes have open to them."""
    parent = Limits(max_per_origin=20)
    case = replace(BURSTS, nodes_per_parent=3, parent_limits=parent)

    counted = count(case)

    assert (counted.pools, counted.most, counted.bound) == (1, 20, 20)
    assert counted.refused == 0


def test_requests_beyond_the_queue_are_refused_and_counted():
    """The real pool's refusal, and no answer is lost."""
    limits = Limits(max_per_origin=1, max_queue=10)
    world = simulate(replace(BURSTS, limits=limits))

    assert world.tally.refused
    assert world.tally.requests == pytest.approx(world.tally.answered, abs=3)


@pytest.mark.parametrize("pods_per_pool", [0, 1, 10, 30])
def test_littles_law_tells_how_many_requests_are_at_work(pods_per_pool):
    """Rate x time, whatever the pools: 3 nodes x 10 pods x 5/s x 50 ms."""
    counted = count(replace(BRIEF, pods_per_pool=pods_per_pool, seconds=300.0))

    assert counted.little == pytest.approx(7.5)
    assert counted.busy == pytest.approx(counted.little, rel=0.05)


def test_littles_law_tells_how_many_sockets_there_are_without_a_proxy():
    """Open while dialled, in use, left open and closed."""
    left = replace(BRIEF, pods_per_pool=0, left_open_s=10.0, seconds=300.0)

    counted = count(left)

    dial_and_close = Network().dial_s + Network().close_s
    assert counted.mean == pytest.approx(150 * (0.05 + 10 + dial_and_close), rel=0.02)
    assert counted.reused == 0
    assert counted.wait_p99 == pytest.approx(Network().dial_s)


@pytest.mark.parametrize(("rate", "idle"), [(0.1, 5.0), (0.1, 30.0), (0.05, 30.0)])
def test_a_pool_that_is_asked_seldom_reuses_as_the_formula_says(rate, idle):
    """The next request has to come within `idle_timeout`: 1 - e^(-rate x time)."""
    demand = Demand(rate=rate, pods_per_node=1)
    case = Case(100, 1, demand, Limits(idle_timeout=idle), seconds=3000.0)

    assert count(case).reused == pytest.approx(1 - math.exp(-rate * idle), abs=0.02)


def test_a_part_of_the_nodes_tells_of_all():
    """Ten of 40 nodes, scaled: within four standard errors of all 40."""
    whole = count(replace(BRIEF, nodes=40))
    part = replace(BRIEF, nodes=40, simulated=10)

    scaled = scale(count(of_simulated(part)), part)

    assert scaled.pools == whole.pools
    assert scaled.bound == whole.bound
    assert scaled.little == pytest.approx(whole.little)
    assert abs(scaled.mean - whole.mean) < 4 * scaled.error
    assert scaled.opened == pytest.approx(whole.opened, rel=0.5)


def test_a_proxy_does_what_its_pool_says_step_by_step():
    """Dial, serve, idle, serve again, expire: at the times that follow."""
    clock = Clock()
    tally = Tally(clock)
    limits = Limits(idle_timeout=5.0)
    random = Random(1)  # noqa: S311 - to be repeated
    proxy = Proxy(clock, tally, Network(), limits=limits, random=random)
    answers = []

    def done(*, served):
        answers.append((round(clock.now, 3), served))

    proxy.request(0.05, done)
    clock.run(1.0)
    proxy.request(0.05, done)
    clock.run(5.5)
    assert tally.open == 1
    clock.run(8.0)

    assert answers == [(0.07, True), (1.05, True)]
    assert (tally.opened, tally.reused, tally.open) == (1, 1, 0)


# The document...


def test_the_tables_are_those_of_the_figures_that_are_kept_beside_it():
    """`python bench/scaling.py --tables` mends it."""
    text = (DOCS / "scaling.md").read_text("utf-8")

    assert with_tables(text, KEPT) == text


def test_every_case_is_kept_and_told():
    """None that is simulated no more, and a table for each section."""
    text = (DOCS / "scaling.md").read_text("utf-8")

    assert {name: list(rows) for name, rows in KEPT.items()} == {
        name: list(make()) for name, make in SECTIONS.items()
    }
    assert all(f"<!-- table: {name} -->\n|" in text for name in SECTIONS)


def test_what_the_document_links_to_exists():
    """Manifests, rules, benchmarks."""
    links = re.findall(
        r"\]\((?!https?:)([^)#]+)\)", (DOCS / "scaling.md").read_text("utf-8")
    )

    assert links
    assert [link for link in links if not (DOCS / link).exists()] == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("section", "name"),
    [("busy", "10 closed"), ("busy", "10 node"), ("idle", "1 30"), ("caps", "8")],
)
def test_the_figures_are_those_of_this_pool(section, name):
    """Simulated anew: where the pool's rules have changed, `python bench/scaling.py`."""
    case = SECTIONS[section]()[name]

    fresh = scale(count(of_simulated(case)), case)
    assert rounded(fresh) == pytest.approx(KEPT[section][name], rel=1e-4, abs=1e-9)


def test_what_the_text_concludes_is_in_the_figures():
    """Its numbers in words, and its comparisons."""
    busy, quiet, advice = KEPT["busy"], KEPT["quiet"], KEPT["advice"]

    def peak(way):
        row = busy[f"10000 {way}"]
        return row["mean"] / row["busy"]

    assert peak("pod") == pytest.approx(12, abs=1)
    assert 3 < peak("node") < 4
    assert peak("parent") == pytest.approx(1.1, abs=0.05)
    assert busy["10000 closed"]["opened"] == pytest.approx(500_000, rel=0.01)
    assert busy["10000 pod"]["mean"] > busy["10000 closed"]["mean"]
    assert quiet["node"]["mean"] == pytest.approx(quiet["node"]["pools"], rel=0.05)
    assert quiet["pod"]["reused"] < 0.3
    assert advice["10000 short"]["refused"] > 0
    served = [row["refused"] for name, row in advice.items() if name != "10000 short"]
    assert served == [0] * len(served)


@pytest.mark.parametrize("section", ["busy", "quiet", "idle", "caps", "advice"])
def test_every_case_agrees_with_littles_law_and_its_caps(section):
    """Each of those that are kept; a request that is refused is no work."""
    for name, row in KEPT[section].items():
        work = row["little"] * (1 - row["refused"])

        assert row["busy"] == pytest.approx(work, rel=0.05), name
        assert not row["bound"] or row["most"] <= row["bound"], name


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(311_880, 3, "312,000"), (37.64, 3, "37.6"), (0.0136, 2, "0.014"), (8, 2, "8")],
)
def test_numbers_have_few_digits_and_commas(value, digits, text):
    """More digits would promise more than a simulation can tell."""
    assert number(value, digits) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.99999, "99.99 %"), (0.5, "50.00 %")],
)
def test_a_share_is_all_or_nothing_only_where_it_is(share, text):
    """99.999 % of a million requests are not all."""
    assert percent(share) == text
