"""A cluster on a simulated clock: pods that ask, pools between, one origin."""

from dataclasses import dataclass, field, replace
from functools import partial
from math import sqrt
from random import Random
from statistics import fmean, stdev

from simulated import Clock, Direct, Network, Proxy, Way
from tally import Tally

from reuse_proxy.upstream.books import Limits

_SEED = 4128


@dataclass(frozen=True, slots=True)
class Demand:
    """What the pods ask for; times in seconds.

    Each pod asks at random times (a Poisson process), and all pods of all nodes ask
    ``burst`` times at once at each ``burst_every``: a cron job, a cache that expires.
    """

    rate: float = 5.0
    service_s: float = 0.05
    pods_per_node: int = 10
    burst: int = 0
    burst_every: float = 60.0


@dataclass(frozen=True, slots=True)
class Case:
    """How many nodes, what they ask for, and through which pools; times in seconds.

    Without a proxy, ``pods_per_pool`` is 0 and each connection is left open for
    ``left_open_s``.  ``nodes_per_parent`` is 0 unless the pools' proxies send on to
    parents.  Only so many nodes as ``simulated`` are, where it is not 0.
    """

    nodes: int
    pods_per_pool: int
    demand: Demand = field(default_factory=Demand)
    limits: Limits = field(default_factory=Limits)
    nodes_per_parent: int = 0
    parent_limits: Limits = field(default_factory=Limits)
    left_open_s: float = 0.0
    simulated: int = 0
    # Longer than a connection lives, so that as many are renewed as ever.
    warm_s: float = 720.0
    seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What came out; rates per second, times in seconds.

    ``error`` is the standard error of ``mean``; ``bound`` is what the caps allow, 0 for
    anything; ``little`` is what Little's law says that ``busy`` is.
    """

    pools: float
    mean: float
    error: float
    p99: float
    most: float
    bound: float
    opened: float
    most_opened: float
    reused: float
    busy: float
    little: float
    wait_p99: float
    refused: float


class Pod:
    """Requests at random times, and in bursts; the same ones through whatever pool."""

    def __init__(
        self, clock: Clock, tally: Tally, way: Way, *, demand: Demand, random: Random
    ) -> None:
        self._clock = clock
        self._tally = tally
        self._way = way
        self._demand = demand
        self._random = random
        clock.after(random.expovariate(demand.rate), self._ask)
        if demand.burst:
            clock.after(demand.burst_every, self._ask_at_once)

    def _ask(self) -> None:
        self._request()
        self._clock.after(self._random.expovariate(self._demand.rate), self._ask)

    def _ask_at_once(self) -> None:
        for _ in range(self._demand.burst):
            self._request()
        self._clock.after(self._demand.burst_every, self._ask_at_once)

    def _request(self) -> None:
        service_s = self._random.expovariate(1 / self._demand.service_s)
        due = self._clock.now + service_s
        self._way.request(service_s, partial(self._answered, due))

    def _answered(self, due: float, *, served: bool) -> None:
        self._tally.answer(self._clock.now - due, served=served)


class World:
    """Everything that a case has, on a clock of its own."""

    def __init__(self, case: Case, seed: int) -> None:
        self._case = case
        self._seed = seed
        self.clock = Clock()
        # What the origin sees, and what parents see.
        self.tally = Tally(self.clock)
        self._within = Tally(self.clock)
        # The proxies that the origin sees.
        self.proxies: list[Proxy] = []
        pods, per_pool = case.demand.pods_per_node, case.pods_per_pool
        parent, way = None, self._direct()
        for number in range(case.nodes * pods):
            if case.nodes_per_parent and number % (case.nodes_per_parent * pods) == 0:
                parent = self._proxy(case.parent_limits, f"parent/{number}")
            if per_pool and number % per_pool == 0:
                way = self._proxy(case.limits, f"pool/{number}", parent)
            random = self._random(f"pod/{number}")
            Pod(self.clock, self.tally, way, demand=case.demand, random=random)

    def run(self) -> None:
        """Let time pass, and count after the first part of it."""
        self.clock.run(self._case.warm_s)
        self.tally.restart()
        self.clock.run(self._case.warm_s + self._case.seconds)

    def _direct(self) -> Way:
        left_open_s = self._case.left_open_s
        return Direct(self.clock, self.tally, Network(), left_open_s=left_open_s)

    def _proxy(self, limits: Limits, name: str, parent: Way | None = None) -> Proxy:
        tally = self._within if parent else self.tally
        proxy = Proxy(
            self.clock,
            tally,
            Network(),
            limits=limits,
            random=self._random(name),
            parent=parent,
        )
        if not parent:
            self.proxies.append(proxy)
        return proxy

    def _random(self, name: str) -> Random:
        return Random(f"{self._seed}/{name}")  # noqa: S311 - to be repeated


def simulate(case: Case, seed: int = _SEED) -> World:
    """Let all nodes of a case run."""
    world = World(case, seed)
    world.run()
    return world


def of_simulated(case: Case) -> Case:
    """Return the case of those nodes alone that are simulated."""
    return replace(case, nodes=case.simulated or case.nodes, simulated=0)


def count(case: Case, seed: int = _SEED) -> Figures:
    """Simulate all nodes of a case, and tell what the origin has seen."""
    world = simulate(case, seed)
    tally, pools = world.tally, len(world.proxies)
    limits = case.parent_limits if case.nodes_per_parent else case.limits
    mean, p99, most = tally.sockets()
    return Figures(
        pools=pools,
        mean=mean,
        error=_error(tally),
        p99=p99,
        most=most,
        bound=pools * min(limits.max_per_origin, limits.max_sockets),
        opened=tally.opened / tally.seconds,
        most_opened=max(tally.opened_in.values(), default=0),
        reused=tally.reused / tally.requests,
        busy=tally.mean_busy(),
        little=_little(case),
        wait_p99=tally.wait(0.99),
        refused=tally.refused / (tally.answered + tally.refused),
    )


def scale(counted: Figures, case: Case) -> Figures:
    """Tell of all nodes of a case what was counted at those that were simulated.

    Nodes do not know of each other: means add up, and what lies above the mean grows
    with the square root of their number.  Bursts that come to all at once add up, too.
    """
    times = case.nodes / of_simulated(case).nodes
    together = times if case.demand.burst else sqrt(times)
    mean, opened = counted.mean * times, counted.opened * times
    return replace(
        counted,
        pools=counted.pools * times,
        mean=mean,
        error=counted.error * times,
        p99=mean + (counted.p99 - counted.mean) * together,
        most=mean + (counted.most - counted.mean) * together,
        bound=counted.bound * times,
        opened=opened,
        most_opened=opened + (counted.most_opened - counted.opened) * together,
        busy=counted.busy * times,
        little=counted.little * times,
    )


def _error(tally: Tally) -> float:
    """Return the standard error of the sum of the pools' means."""
    means = [fmean(sockets) for sockets in tally.samples.values()]
    return sqrt(len(means)) * stdev(means) if len(means) > 1 else 0.0


def _little(case: Case) -> float:
    """Return the requests at the origin by Little's law: rate times service time."""
    demand = case.demand
    rate = demand.rate + demand.burst / demand.burst_every
    return case.nodes * demand.pods_per_node * rate * demand.service_s
