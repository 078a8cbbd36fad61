"""Carries out a plan of openloop: `python player.py PLAN`, as JSON; prints the outcome.

A request's time counts from when it was meant to be sent, so that neither a proxy nor
this client hides a wait by being late.  Connections are used again where the plan says
so; where none is idle another one is opened, as clients that know nothing of each other
would do.
"""

import asyncio
import contextlib
import json
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import cast

import uvloop
from openloop import Outcome, Plan
from peers import LOOPBACK

_TICK_S = 0.001
_CLOSE = "Connection: close\r\n"
_LENGTH = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)
# As fast as before: so many in a row, within twice the median, or a little more.
_IN_A_ROW = 5
_NORMAL, _NORMAL_S = 2.0, 0.010


@dataclass
class _Request:
    """When a request was meant to be sent, when it was, and what became of it."""

    due: float
    sent: float = 0.0
    done: float = 0.0
    status: int = 0

    @property
    def took(self) -> float:
        return self.done - self.due


class _Connection(asyncio.Protocol):
    """One client connection: a request, its response, and perhaps the next."""

    def __init__(self, player: "_Player", request: _Request) -> None:
        self._player = player
        self._request: _Request | None = request
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what it was opened for."""
        # uvloop's own is none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._player.message)

    def send(self, request: _Request) -> bool:
        """Send another request, unless the connection is closing."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._request = request
        self._transport.write(self._player.message)
        return True

    def data_received(self, data: bytes) -> None:
        """Look whether the response is complete."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or (length is not None and len(body) < int(length.group(1))):
            return
        self._received = b""
        self._over(int(head[9:12]))
        if self._player.plan.keep and b"connection: close" not in head.lower():
            self._player.idle.append(self)
        elif self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that there will be no answer."""
        self._transport = None
        self._over(0)

    def _over(self, status: int) -> None:
        if self._request is not None:
            self._player.over(self._request, status)
            self._request = None


class _Player:
    """Sends the requests of one plan."""

    def __init__(self, plan: Plan, group: asyncio.TaskGroup) -> None:
        self.plan = plan
        self._group = group
        self.idle: list[_Connection] = []
        more = "" if plan.keep else _CLOSE
        target = f"http://{plan.authority}{plan.path}"
        head = f"GET {target} HTTP/1.1\r\nHost: {plan.authority}\r\n{more}\r\n"
        self.message = head.encode()
        self._opening: set[asyncio.Task[None]] = set()
        self._pending = 0
        self._none_pending = asyncio.Event()

    def over(self, request: _Request, status: int) -> None:
        """Note what became of a request."""
        request.done = time.perf_counter()
        request.status = status
        self._pending -= 1
        if not self._pending:
            self._none_pending.set()

    async def play(self) -> Outcome:
        """Carry out the plan."""
        plan = self.plan
        before = await self._phase(plan.calm, plan.before)
        normal = statistics.median(r.took if r.status == 200 else 0 for r in before)
        rush = await self._phase(plan.rate, plan.seconds)
        limit = max(normal * _NORMAL, normal + _NORMAL_S)

        def recovered(probes: list[_Request]) -> bool:
            return _recovery(probes, limit) is not None

        after = await self._phase(plan.calm, plan.after, until=recovered)
        await self._rest()
        first = _recovery(after, limit)
        took = sorted(r.took for r in rush if r.status == 200)
        return Outcome(
            normal=normal,
            sent=len(rush),
            served=len(took),
            p50=took[len(took) // 2] if took else 0.0,
            p99=took[len(took) * 99 // 100] if took else 0.0,
            refused=sum(r.status == 503 for r in rush),
            failed=sum(r.status not in {200, 503} for r in rush),
            late=max(r.sent - r.due for r in rush),
            recovery=None if first is None else first - rush[-1].due,
        )

    async def _phase(
        self,
        rate: float,
        seconds: float,
        until: Callable[[list[_Request]], bool] | None = None,
    ) -> list[_Request]:
        """Send at a rate, for so long or until the requests so far are enough."""
        requests: list[_Request] = []
        total = round(rate * seconds)
        began = time.perf_counter()
        while len(requests) < total and not (until and until(requests)):
            due, now = began + len(requests) / rate, time.perf_counter()
            if due > now:
                await asyncio.sleep(max(due - now, _TICK_S))
                continue
            while due <= now and len(requests) < total:
                requests.append(self._send(due))
                due = began + len(requests) / rate
            await asyncio.sleep(0)
        return requests

    def _send(self, due: float) -> _Request:
        request = _Request(due, sent=time.perf_counter())
        self._pending += 1
        self._none_pending.clear()
        while self.idle:
            if self.idle.pop().send(request):
                return request
        task = self._group.create_task(self._open(request))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return request

    async def _open(self, request: _Request) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(
                lambda: _Connection(self, request), LOOPBACK, self.plan.port
            )
        except OSError:
            self.over(request, 0)

    async def _rest(self) -> None:
        """Wait for what is under way, and give up what takes too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.plan.timeout):
                await self._none_pending.wait()
        for task in self._opening:
            task.cancel()


def _recovery(probes: list[_Request], limit: float) -> float | None:
    """Return when the first of some requests was due that were all quick."""
    quick = [probe.status == 200 and probe.took <= limit for probe in probes]
    for number in range(len(quick) - _IN_A_ROW + 1):
        if all(quick[number : number + _IN_A_ROW]):
            return probes[number].due
    return None


def main() -> None:
    """Play, and print."""
    plan = Plan(**json.loads(sys.argv[1]))
    outcome = uvloop.run(_played(plan))
    sys.stdout.write(json.dumps(asdict(outcome)))


async def _played(plan: Plan) -> Outcome:
    async with asyncio.TaskGroup() as group:
        return await _Player(plan, group).play()


if __name__ == "__main__":
    main()
