"""What others can provoke is logged once a second for each kind."""

import asyncio
import logging

import pytest

from reuse_proxy.limited import INTERVAL_S, LimitedLog, Limiter, LimitFilter


class Clock:
    """A time that is set."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        """Return it."""
        return self.now


@pytest.fixture
def clock():
    """A clock that stands still until it is set."""
    return Clock()


@pytest.fixture
def limited(clock):
    """A limited log at that clock."""
    return LimitedLog(logging.getLogger("provoked"), Limiter(clock))


def test_the_first_line_is_logged_and_those_after_it_are_counted(
    limited, clock, caplog
):
    """The next one that is logged says how many there were."""
    for number in range(50):
        limited(logging.WARNING, "refused %d", number)
    clock.now += INTERVAL_S
    limited(logging.WARNING, "refused %d", 50)

    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["refused 0", "49 similar lines left out", "refused 50"]


def test_a_flood_of_one_kind_does_not_hide_another(limited, caplog):
    """A client's malformed requests, and an error of our own among them."""
    for _ in range(50):
        limited(logging.WARNING, "refused %d", 400)
    limited(logging.ERROR, "an error of our own", error=KeyError("a"))
    limited(logging.ERROR, "an error of our own", error=ValueError("another"))
    limited(logging.ERROR, "an error of our own", error=KeyError("a"))

    kinds = [type(r.exc_info[1]) for r in caplog.records if r.exc_info]
    assert kinds == [KeyError, ValueError]


def test_kinds_without_end_share_one(clock):
    """Their names may hold an address each, and are not kept for ever."""
    limiter = Limiter(clock)
    admitted = [limiter.admit(f"kind {number}") for number in range(1000)]

    assert 64 <= sum(one is not None for one in admitted) <= 65
    assert len(limiter._kinds) <= 65


async def test_what_asyncio_logs_of_failing_callbacks_is_limited_too(caplog):
    """By what it begins with: what follows names an object, another one each time."""
    log = logging.getLogger("asyncio")
    clock, loop = Clock(), asyncio.get_running_loop()
    limit = LimitFilter(Limiter(clock))
    log.addFilter(limit)
    try:
        for number in range(20):
            message = f"Exception in callback f(<C object at {number}>)"
            context = {"message": message, "handle": object()}
            loop.call_exception_handler({**context, "exception": KeyError(number)})
        clock.now += INTERVAL_S
        loop.call_exception_handler({"message": "Exception in callback f(<C>)"})
    finally:
        log.removeFilter(limit)

    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("Exception in callback f(<C object at 0>)\n")
    assert "KeyError: 0" in caplog.text
    assert second == "Exception in callback f(<C>)\n19 similar lines left out"
