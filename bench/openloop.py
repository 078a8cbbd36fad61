"""Requests at a rate that does not depend on the answers: an open loop.

bench/player.py carries out the plan in a process of its own.
"""

# ruff: noqa: S603 - this interpreter, with arguments of ours

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from measure import FailedError

_PLAYER = Path(__file__).with_name("player.py")
_GRACE_S = 30


@dataclass(frozen=True)
class Plan:
    """What to send, and how fast.

    Attributes:
        port: of the proxy, or of the origin.
        authority: of the origin.
        path: what to ask for.
        keep: use connections again.
        calm: requests a second before and after.
        rate: requests a second in between.
        before: seconds of calm at first.
        seconds: of the rate in between.
        after: seconds of calm that it may take until requests are as fast as before.
        timeout: seconds after the last request when those under way are given up.
    """

    port: int
    authority: str
    path: str
    keep: bool
    calm: float
    rate: float
    before: float
    seconds: float
    after: float
    timeout: float


@dataclass(frozen=True)
class Outcome:
    """What became of a plan; times in seconds.

    Attributes:
        normal: median time of the requests before.
        sent: requests at the rate in between.
        served: how many of them were answered with 200.
        p50: their median time; 0 if there are none.
        p99: the time within which 99 of 100 of them were answered.
        refused: how many were answered with 503.
        failed: how many were not answered, or with something else.
        late: how late the latest of them was sent.
        recovery: from the last of them until requests are as fast as before again; None
            if they never were.
    """

    normal: float
    sent: int
    served: int
    p50: float
    p99: float
    refused: int
    failed: int
    late: float
    recovery: float | None


def play(plan: Plan) -> Outcome:
    """Carry out a plan in a process of its own."""
    seconds = plan.before + plan.seconds + plan.after + plan.timeout + _GRACE_S
    try:
        done = subprocess.run(
            [sys.executable, str(_PLAYER), json.dumps(asdict(plan))],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise FailedError("the open loop hung") from None
    if done.returncode:
        raise FailedError(f"the open loop failed: {done.stderr.strip()[-300:]}")
    return Outcome(**json.loads(done.stdout))
