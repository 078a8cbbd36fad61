"""Counting what an origin sees: open sockets over time, and what was opened."""

from collections import Counter, defaultdict
from itertools import accumulate
from typing import Final, Protocol

# What adding up times may leave of none.
_NO_WAIT_S: Final = 1e-6


class Time(Protocol):
    """Something that knows what time it is, in seconds."""

    now: float


class Tally:
    """What the origin sees of all clients together, and how long requests waited."""

    def __init__(self, clock: Time) -> None:
        self._clock = clock
        self.open = 0
        self.busy = 0
        self.restart()

    def restart(self) -> None:
        """Count from here on; what is open stays open."""
        self.began = self._changed = self._clock.now
        self.opened = self.closed = 0
        self.requests = self.reused = 0
        self.answered = self.refused = 0
        self.waits: list[float] = []
        self.opened_in: Counter[int] = Counter()
        # What each pool had open, once a second.
        self.samples: defaultdict[object, list[int]] = defaultdict(list)
        self._seconds_at: defaultdict[int, float] = defaultdict(float)
        self._busy_seconds = 0.0

    # Count...

    def socket(self, change: int) -> None:
        """Note a socket that is being opened, or is gone."""
        self._pass_time()
        self.open += change
        if change > 0:
            self.opened += 1
            self.opened_in[int(self._clock.now)] += 1
        else:
            self.closed += 1

    def request(self, *, reused: bool) -> None:
        """Note a request that goes to the origin now."""
        self._pass_time()
        self.busy += 1
        self.requests += 1
        self.reused += reused

    def response(self) -> None:
        """Note the end of a request."""
        self._pass_time()
        self.busy -= 1

    def answer(self, waited: float, *, served: bool) -> None:
        """Note an answer to a pod, and for how long it waited beside the service."""
        self.refused += not served
        self.answered += served
        if served and waited > _NO_WAIT_S:
            self.waits.append(waited)

    def _pass_time(self) -> None:
        seconds = self._clock.now - self._changed
        self._seconds_at[self.open] += seconds
        self._busy_seconds += seconds * self.busy
        self._changed = self._clock.now

    # Tell...

    @property
    def seconds(self) -> float:
        """For how long it has been counted."""
        return self._clock.now - self.began

    def sockets(self) -> tuple[float, int, int]:
        """Return mean, 99th percentile and most of the open sockets, over time."""
        self._pass_time()
        total = sum(self._seconds_at.values())
        mean = sum(n * s for n, s in self._seconds_at.items()) / total
        passed = accumulate(seconds for _, seconds in sorted(self._seconds_at.items()))
        reached = zip(sorted(self._seconds_at), passed, strict=True)
        p99 = next(n for n, seconds in reached if seconds >= 0.99 * total)
        return mean, p99, max(self._seconds_at)

    def mean_busy(self) -> float:
        """Return how many requests were at the origin at a time, on average."""
        self._pass_time()
        return self._busy_seconds / self.seconds

    def wait(self, share: float) -> float:
        """Return the seconds that a share of all answers, below 1, did not exceed."""
        at = int(share * self.answered) - (self.answered - len(self.waits))
        return sorted(self.waits)[at] if at >= 0 else 0.0
