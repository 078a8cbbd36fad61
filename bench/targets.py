"""What the project has promised of its speed, judged by the records of one run."""

from collections.abc import Callable
from dataclasses import dataclass

import bodies
import far
import features
import scale
import small
import startup
from records import Results
from turns import DIRECT, OURS

Figure = Callable[[Results], float | None]
_INTERCEPTED = f"{OURS}, interception"
_ORIGINATED = f"{OURS}, origination"


@dataclass(frozen=True)
class Target:
    """A figure and its limit; a target for the better is ``at_least``."""

    what: str
    limit: float
    unit: str
    figure: Figure
    at_least: bool = False

    def met(self, reached: float) -> bool:
        """Tell whether a value keeps the promise."""
        return reached >= self.limit if self.at_least else reached <= self.limit


def _median(
    results: Results, section: str, case: str, subject: str, value: str
) -> float | None:
    record = results.find(section, case, subject)
    return record.median(value) if record else None


def _value(section: str, case: str, subject: str, value: str) -> Figure:
    return lambda results: _median(results, section, case, subject, value)


def _ratio(over: Figure, under: Figure) -> Figure:
    def ratio(results: Results) -> float | None:
        above, below = over(results), under(results)
        return above / below if above is not None and below else None

    return ratio


def _cpu(section: str, case: str, subject: str) -> Figure:
    value = "cpu_us" if section == small.SECTION else "cpu_s_gb"
    return _value(section, case, subject, value)


def _against(section: str, case: str, peer: str) -> Figure:
    """Our CPU over a peer's."""
    return _ratio(_cpu(section, case, OURS), _cpu(section, case, peer))


def _added_latency(subject: str) -> Figure:
    """What a proxy adds to the median time of a request of one client."""

    def added(results: Results) -> float | None:
        through, without = (
            _median(results, small.SECTION, small.ONE, name, "p50_us")
            for name in (subject, DIRECT)
        )
        return through - without if through and without else None

    return added


def _faster(subject: str) -> Figure:
    """How many times faster a leaking client is, far away and with TLS."""
    case = (far.SECTION, "https")
    return _ratio(_value(*case, DIRECT, "ms"), _value(*case, subject, "ms"))


def _feature_share(case: str) -> Figure:
    """The features' part of a request's CPU, in percent."""

    def share(results: Results) -> float | None:
        full, bare = (
            _median(results, features.SECTION, case, subject, "instructions")
            for subject in (OURS, features.BARE)
        )
        user = _median(results, features.SECTION, case, OURS, "user_share")
        if not full or bare is None or user is None:
            return None
        return 100 * user * (1 - bare / full)

    return share


TARGETS = (
    Target(
        "CPU per small request, keep-alive, to squid's",
        0.60,
        "x",
        _against(small.SECTION, small.KEPT, "squid"),
    ),
    Target(
        "CPU per small request, keep-alive, to HAProxy's",
        2.5,
        "x",
        _against(small.SECTION, small.KEPT, "haproxy"),
    ),
    Target(
        "CPU per small request on a new connection, to squid's",
        0.80,
        "x",
        _against(small.SECTION, small.NEW, "squid"),
    ),
    Target(
        "CPU per GB, 100 MB bodies, to squid's",
        0.25,
        "x",
        _against(bodies.SECTION, bodies.DOWN, "squid"),
    ),
    Target(
        "CPU per GB, 100 MB bodies, to HAProxy's",
        1.3,
        "x",
        _against(bodies.SECTION, bodies.DOWN, "haproxy"),
    ),
    Target(
        "added p50 latency at 1 client, to HAProxy's",
        1.5,
        "x",
        _ratio(_added_latency(OURS), _added_latency("haproxy")),
    ),
    Target(
        "a leaking client 40 ms away with TLS, direct to intercepted",
        2.5,
        "x",
        _faster(_INTERCEPTED),
        at_least=True,
    ),
    Target(
        "a leaking client 40 ms away with TLS, direct to originated",
        2.5,
        "x",
        _faster(_ORIGINATED),
        at_least=True,
    ),
    Target(
        "memory idle with everything on (RSS, after work)",
        60,
        "MiB",
        _value(startup.SECTION, startup.CASE, startup.EVERYTHING, "rss_worked_mib"),
    ),
    Target(
        "memory per idle client connection, of 4,000",
        24,
        "KiB",
        _value(
            scale.SECTION,
            scale.of(scale.IDLE[-1], "idle client"),
            OURS,
            "kib_per_client",
        ),
    ),
    Target(
        "ledger, metrics and policy, of the CPU of a request, keep-alive",
        10,
        "%",
        _feature_share(small.KEPT),
    ),
    Target(
        "the same of a request on a new connection",
        10,
        "%",
        _feature_share(small.NEW),
    ),
)
