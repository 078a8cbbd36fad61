"""Plain numbers: histograms as Prometheus wants them, and bounded labels."""

from reuse_proxy.http.target import Origin
from reuse_proxy.upstream.stats import OTHER, Histogram, SessionStats


def origin(number):
    """Make an origin that differs by its port."""
    return Origin("http", "origin.test", 8000 + number)


def test_histogram_buckets_are_cumulative_with_inclusive_bounds():
    """1 falls into the bucket up to 1; what exceeds all bounds counts as +Inf."""
    histogram = Histogram((1, 2, 5))

    for value in (1, 1.5, 5, 9):
        histogram.observe(value)

    buckets = [("1.0", 1), ("2.0", 2), ("5.0", 3), ("+Inf", 4)]
    assert list(histogram.buckets()) == buckets
    assert histogram.sum == 16.5


def test_an_origin_keeps_its_counters():
    """Admitted twice, it is counted under one label."""
    stats = SessionStats(max_origins=2)

    first = stats.admit(origin(0))
    first.opened += 1

    assert stats.admit(origin(0)) is first
    assert first.label == "http://origin.test:8000"


def test_origins_past_the_bound_share_one_label():
    """The early ones keep theirs, and no count is lost."""
    stats = SessionStats(max_origins=2)

    for number in range(5):
        stats.admit(origin(number)).opened += 1

    assert {label: one.opened for label, one in stats.origins.items()} == {
        str(origin(0)): 1,
        str(origin(1)): 1,
        OTHER: 3,
    }


def test_with_no_labels_allowed_everything_is_other():
    """`metrics_max_origins = 0` is a valid setting."""
    stats = SessionStats(max_origins=0)

    assert stats.admit(origin(0)).label == OTHER
