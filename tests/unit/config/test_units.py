"""Bytes and seconds: printing them loses nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_proxy.config.units import (
    DAY,
    GIB,
    SIZE_UNITS,
    TIME_UNITS,
    NotAllowedError,
    bounded,
    scaled,
    size_text,
    time_text,
    whole,
)


@given(st.integers(min_value=0, max_value=1024 * GIB))
def test_a_printed_size_reads_back(size):
    """No size changes on its way through text."""
    assert scaled(size_text(size), SIZE_UNITS, "is not a size") == size


@given(st.just(0.0) | st.floats(min_value=0.001, max_value=DAY))
def test_a_printed_time_reads_back(seconds):
    """No time changes on its way through text."""
    assert scaled(time_text(seconds), TIME_UNITS, "is not a time") == seconds


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0"), (1500, "1500"), (1536, "1536"), (2**24, "16 MiB"), (2**30, "1 GiB")],
)
def test_a_size_prints_with_the_largest_unit_that_divides_it(size, text):
    """A size that no unit divides stays in bytes."""
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (0.05, "50 ms"), (1.5, "1.5 s"), (10.0, "10 s"), (600.0, "600 s")],
)
def test_a_time_prints_in_ms_below_a_second(seconds, text):
    """Longer times print in seconds."""
    assert time_text(seconds) == text


@pytest.mark.parametrize("value", ["", "five", "1.0", "1_000", "٣", 2.5, True, None])
def test_what_is_no_whole_number_is_refused(value):
    """Neither booleans nor fractions pass as a number of things."""
    with pytest.raises(NotAllowedError, match="is not a whole number"):
        whole(value)


@pytest.mark.parametrize(
    ("number", "problem"),
    [(0, "is too small"), (11, "is too large"), (float("nan"), "is too small")],
)
def test_what_breaks_a_bound_is_refused(number, problem):
    """The error says at which end, and not-a-number is within no bounds."""
    with pytest.raises(NotAllowedError, match=problem):
        bounded(number, 1, 10, number)
