"""Cancelling an exchange at every await point leaves the books balanced."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any

import pytest

from reuse_proxy.forward import Exchange, ForwardRequest
from reuse_proxy.http.request_fields import read_request_fields
from reuse_proxy.http.target import parse_absolute
from reuse_proxy.tasks import TaskSet
from reuse_proxy.upstream.private import PrivateConnections
from tests.support.books import assert_balanced
from tests.support.client import request_bytes

SIZE = 400_000


class CancelledAt:
    """Awaits a coroutine and cancels it at its n-th suspension.

    `late` cancels when what it waits for has just come, before it can go on.
    """

    def __init__(self, coroutine: Awaitable[Any], point: int, *, late: bool) -> None:
        self._coroutine = coroutine
        self._point = point
        self._late = late
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._coroutine.__await__()
        step: Callable[[], Any] = partial(next, inner)
        suspensions = 0
        while True:
            try:
                future = step()
            except StopIteration as stop:
                return stop.value
            suspensions += 1
            if suspensions == self._point:
                self.reached = True
                self._cancel(future)
            try:
                yield future
                step = partial(next, inner)
            except BaseException as exc:  # noqa: BLE001 - handed on
                step = partial(inner.throw, exc)

    def _cancel(self, future: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._late and future is not None:
            future.add_done_callback(lambda _: task.cancel())
        else:
            asyncio.get_running_loop().call_soon(task.cancel)


class Upload:
    """A request body that arrives in pieces."""

    def __init__(self, pieces: int) -> None:
        self._left = pieces

    def take(self) -> bytes | None:
        """It is never here as a whole."""
        return None

    async def read(self) -> bytes:
        """Return the next piece after a turn of the loop."""
        await asyncio.sleep(0)
        self._left -= 1
        return b"z" * 1000 if self._left >= 0 else b""


def forwarded(url: str, *, method: str = "GET", pieces: int = 0, fields=()):
    """Build what the handler would hand to an exchange."""
    if pieces:
        fields = (*fields, (b"Content-Length", b"%d" % (1000 * pieces)))
    read = read_request_fields(fields, traced=False)
    target = parse_absolute(url.encode(), method=method)
    request = ForwardRequest(method, target, read, b"Via: 1.1 test\r\n")
    if pieces:
        request.framing, request.body = read.framing(http10=False)[0], Upload(pieces)
        request.expect_continue = read.expect_continue
    return request


class Nobody:
    """The client of an exchange: connections may belong to it."""

    private: PrivateConnections | None = None
    left = False


@contextlib.contextmanager
def ended(exchange: Exchange) -> Generator[Exchange]:
    """Settle an exchange, however the block is left."""
    try:
        yield exchange
    except BaseException as error:
        exchange.end(error)
        raise
    else:
        exchange.end(None)


async def carry_out(proxy, request, tasks):
    """Run an exchange to its end; return the length of the body."""
    with ended(
        Exchange(proxy.session, request, tasks=tasks, client=Nobody())
    ) as exchange:
        head = await exchange.start()
        while head.interim:
            head = await exchange.next_head()
        body = sum(map(len, exchange.take_body()))
        while not exchange.complete:
            body += sum(map(len, await exchange.read_body()))
        return body


async def stubborn(connection):
    """Serve; the first connection closes at its second request's arrival."""
    await connection.request()
    await connection.reply(b"first")
    await connection.request()
    if connection.number > 1:
        await connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await connection.reply(b"x" * SIZE)
        await connection.closed()


async def warm(proxy, origin, tasks):
    """Leave one idle connection in the pool."""
    await carry_out(proxy, forwarded(f"{origin.url}/warm"), tasks)


async def occupied(proxy, origin, tasks):
    """Hold the only connection for a moment, so that others queue."""

    async def hold():
        request = forwarded(f"{origin.url}/hold")
        with ended(
            Exchange(proxy.session, request, tasks=tasks, client=Nobody())
        ) as exchange:
            await exchange.start()
            await asyncio.sleep(0.02)
            origin.release.set()
            while not exchange.complete:
                await exchange.read_body()

    tasks.start(hold(), name="hold")
    await origin.until(lambda: bool(origin.requests))


SCENARIOS: dict[str, tuple[Any, ...]] = {
    "a fresh connection": ({}, None, None, {}),
    "a reused connection": ({}, None, warm, {}),
    "the queue": ({"max_per_origin": 1}, None, occupied, {}),
    "an upload": ({}, None, warm, {"method": "PUT", "pieces": 5}),
    "an expectation": (
        {},
        None,
        None,
        {"method": "PUT", "pieces": 3, "fields": ((b"Expect", b"100-continue"),)},
    ),
    "a retry": ({}, stubborn, warm, {}),
}


@pytest.mark.parametrize("late", [False, True], ids=["waiting", "just served"])
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_every_await_point_of_an_exchange_survives_cancellation(
    make_proxy, make_origin, scenario, late
):
    """Walk the points one by one until an exchange ends before it is cancelled."""
    settings, script, prepare, request = SCENARIOS[scenario]
    tasks = TaskSet()
    point, reached = 0, True
    while reached:
        point += 1
        proxy = await make_proxy(**settings)
        origin = await (make_origin(script) if script else make_origin())
        if prepare is not None:
            await prepare(proxy, origin, tasks)
        path = "echo" if "method" in request else f"bytes/{SIZE}"
        exchange = forwarded(f"{origin.url}/{path}", **request)
        walk = CancelledAt(carry_out(proxy, exchange, tasks), point, late=late)

        async def cancelled(walk=walk):
            return await walk

        task = tasks.run(cancelled(), name="walk")
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        reached = walk.reached

        assert isinstance(outcome, asyncio.CancelledError) or not reached or late
        await tasks.join()
        await assert_balanced(proxy)
    assert point > 1


@pytest.mark.parametrize("ended_by", ["the client", "a shutdown"])
async def test_a_task_that_is_cancelled_before_its_first_step_has_ended_its_exchange(
    proxy, origin, client, ended_by
):
    """It never takes that step, so nothing in it could."""
    request = request_bytes(f"{origin.url}/wait")
    await client.send(request[:10])
    (connection,) = await connected(proxy)
    if ended_by == "the client":
        connection.transport.abort()  # what is told in the next turn, before ...
    connection.data_received(request[10:])  # ... the task that this begins
    if ended_by == "a shutdown":
        await connection.shutdown()

    assert connection.exchange is None or ended_by == "the client"
    await asyncio.sleep(0)
    assert connection.exchange is None
    assert proxy.session.outbox.exchanges == 0
    (account,) = proxy.ledger.accounts()
    assert account.requests == 1
    assert account.aborts.total() == (ended_by == "the client")


async def test_who_is_shut_down_while_an_origin_is_waited_for_has_not_left(
    proxy, origin, client
):
    """The exchange has no task, on a connection that was ready."""
    await client.get(f"{origin.url}/")
    await client.send(request_bytes(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == 2)
    (connection,) = proxy.server.clients
    (account,) = proxy.ledger.accounts()
    await connection.shutdown()

    assert connection.exchange is None
    assert account.requests == 2
    assert account.aborts.total() == 0


async def connected(proxy):
    """Wait for a client that has sent something; return all clients."""
    async with asyncio.timeout(10):
        while not any(client.received for client in proxy.server.clients):
            await asyncio.sleep(0)
    return proxy.server.clients
