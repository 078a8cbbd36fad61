"""Sums of metrics that never fall, whatever processes come and go."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from reuse_proxy.admin.families import PREFIX, counter, gauge, histogram, plain
from reuse_proxy.upstream.stats import REQUESTS, Histogram
from reuse_proxy.workers.tally import Labels, Tally


def families(**counts):
    """Make what a process tells: a counter and a gauge by origin, one that is a maximum."""
    by_origin: dict[tuple[str, ...], float] = {
        (origin,): number for origin, number in counts.items()
    }
    return [
        plain(counter("requests", "Requests", ["origin"], by_origin)),
        plain(gauge("queue_length", "Waiting", ["origin"], by_origin)),
        plain(
            gauge(
                "queue_oldest_wait_seconds",
                "Oldest",
                [],
                {(): max(counts.values(), default=0)},
            )
        ),
        plain(gauge("build_info", "Version", ["version"], {("1",): 1})),
    ]


def rows(tally, name):
    """Return a family's values by origin."""
    return {labels.get("origin"): value for labels, value in tally.rows(name)}


def tally_of(most=10):
    """Return an empty tally with so many labels of origins."""
    return Tally({"origin": Labels(most)})


def test_what_counts_is_added_and_of_ages_the_oldest_is_told():
    """Two processes, each with origins of its own."""
    tally = tally_of()
    tally.add(families(a=3, b=4), ended=False)
    tally.add(families(b=5, c=6), ended=False)

    assert rows(tally, "requests") == {"a": 3, "b": 9, "c": 6}
    assert rows(tally, "queue_length") == {"a": 3, "b": 9, "c": 6}
    assert rows(tally, "queue_oldest_wait_seconds") == {None: 6}
    assert rows(tally, "build_info") == {None: 1}


def test_of_a_process_that_has_ended_only_what_it_counted_is_left():
    """It holds nothing any more; its series stay, at zero."""
    tally = tally_of()
    tally.add(families(a=3), ended=True)
    tally.add(families(a=1), ended=False)

    assert rows(tally, "requests") == {"a": 4}
    assert rows(tally, "queue_length") == {"a": 1}
    assert rows(tally, "queue_oldest_wait_seconds") == {None: 1}
    assert rows(tally, "build_info") == {None: 1}


def test_a_copy_leaves_the_original_as_it_is():
    """What has ended is added to again and again."""
    ended = tally_of()
    ended.add(families(a=3), ended=True)
    tally = ended.copy()
    tally.add(families(a=1), ended=False)

    assert rows(ended, "requests") == {"a": 3}
    assert rows(tally, "requests") == {"a": 4}


def test_histograms_are_added_bucket_by_bucket():
    """And they are histograms still, in the order of their buckets."""
    tally = tally_of()
    for value in (1, 3, 7000):
        one = Histogram(REQUESTS)
        one.observe(value)
        tally.add(
            [plain(histogram("requests_per_connection", "Sizes", None, {"": one}))],
            ended=False,
        )

    (family,) = tally.families()
    both = Histogram(REQUESTS)
    for value in (1, 3, 7000):
        both.observe(value)
    (expected,) = [histogram("requests_per_connection", "Sizes", None, {"": both})]
    assert family == expected


def test_labels_past_the_bound_are_other():
    """The first ones keep their series; the sum is whole."""
    tally = tally_of(2)
    tally.add(families(a=1, b=2), ended=False)
    tally.add(families(c=3, a=4, other=5), ended=False)

    assert rows(tally, "requests") == {"a": 5, "b": 2, "other": 8}


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 6))))
def test_a_label_is_always_told_by_the_same_name(steps):
    """Also when the bound is moved: else a sum would fall."""
    labels = Labels(2)
    told: dict[str, str] = {}
    for value, bound in steps:
        labels.most = bound
        assert told.setdefault(value, labels.admit(value)) == labels.admit(value)


class Processes(RuleBasedStateMachine):
    """Processes that count, are read, die and are replaced, in any order."""

    def __init__(self):
        super().__init__()
        self.ended = tally_of(3)
        self.counts: list[dict[str, int]] = [{}, {}]
        self.told = [None, None]
        self.seen = {}

    @rule(at=st.integers(0, 1), origin=st.sampled_from("abcde"), more=st.integers(1, 9))
    def count(self, at, origin, more):
        """Let a process count."""
        self.counts[at][origin] = self.counts[at].get(origin, 0) + more

    @rule(at=st.integers(0, 1))
    def read(self, at):
        """Ask a process."""
        self.told[at] = families(**self.counts[at])

    @rule(at=st.integers(0, 1))
    def die(self, at):
        """Bury a process with what it has told last; another one begins at zero."""
        if self.told[at] is not None:
            self.ended.add(self.told[at], ended=True)
        self.counts[at], self.told[at] = {}, None

    @invariant()
    def no_counter_falls(self):
        """Whatever has happened since they were added up before."""
        tally = self.ended.copy()
        for told in self.told:
            tally.add(told or [], ended=False)
        now = rows(tally, "requests")
        assert all(now[label] >= value for label, value in self.seen.items())
        assert len(now) <= 4
        self.seen = now


TestProcesses = Processes.TestCase


def test_names_are_whole():
    """Sums are looked up without the prefix that families have."""
    assert families()[0]["name"] == f"{PREFIX}requests"
