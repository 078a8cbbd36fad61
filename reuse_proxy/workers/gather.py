"""Asks workers, and adds up what they say."""

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiohttp

from reuse_proxy.admin.app import STATE_PATH
from reuse_proxy.ledger.ledger import Ledger
from reuse_proxy.limited import LimitedLog
from reuse_proxy.report.build import Reporter
from reuse_proxy.workers.clients import SummedSession, add_clients
from reuse_proxy.workers.tally import Labels, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reuse_proxy.config.settings import Settings
    from reuse_proxy.ledger.verdict import Thresholds
    from reuse_proxy.workers.process import WorkerProcess

_log = LimitedLog(logging.getLogger(__name__))

# A worker that does not answer in time is gone by as it was last.
ANSWER_S: Final = 2.0


class Answer(NamedTuple):
    """What a worker has answered."""

    status: int
    body: bytes


async def ask(
    worker: "WorkerProcess",
    path: str,
    *,
    method: str = "GET",
    seconds: float = ANSWER_S,
) -> Answer | None:
    """Send one request to a worker's own admin listener; None without an answer."""
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path=worker.assignment.admin),
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as session,
            session.request(method, f"http://localhost{path}") as response,
        ):
            return Answer(response.status, await response.read())
    except (OSError, TimeoutError, aiohttp.ClientError) as exc:
        if worker.serving:
            _log(logging.WARNING, "%s does not answer: %s", worker.name, exc)
        return None


async def ask_json(worker: "WorkerProcess", path: str) -> dict[str, Any] | None:
    """Read a document of a worker; None without one."""
    answer = await ask(worker, path)
    if answer is None or answer.status != 200:
        return None
    document: dict[str, Any] = json.loads(answer.body)
    return document


class Gatherer:
    """The numbers of all workers, those that have ended included.

    Attributes:
        tally: the metrics, added up when they were read last.
        reporter: judges clients by the ledgers, likewise.
    """

    def __init__(
        self,
        workers: "Callable[[], Iterable[WorkerProcess]]",
        *,
        settings: "Settings",
        thresholds: "Thresholds",
    ) -> None:
        self._workers = workers
        self._one_at_a_time = asyncio.Lock()
        self._clients = Labels(settings.metrics_max_clients)
        self._origins = Labels(settings.metrics_max_origins)
        self._ended = self.tally = Tally(
            {"client": self._clients, "origin": self._origins}
        )
        self._accounts = settings.ledger_max_clients
        self._ended_ledger = self._empty_ledger()
        self._session = SummedSession(asyncio.get_running_loop().time)
        self.reporter = Reporter(self._session, self._empty_ledger(), thresholds)

    def configure(self, settings: "Settings", thresholds: "Thresholds") -> None:
        """Go by other settings."""
        self._clients.most = settings.metrics_max_clients
        self._origins.most = settings.metrics_max_origins
        self._accounts = settings.ledger_max_clients
        self.reporter.thresholds = thresholds

    async def refresh(self) -> None:
        """Ask every worker, and add up."""
        async with self._one_at_a_time:
            await asyncio.gather(*(_read(worker) for worker in self._workers()))
            self._add_up()

    def bury(self, worker: "WorkerProcess") -> None:
        """Keep what a worker that has ended had counted."""
        if worker.state is not None:
            self._ended.add(worker.state["metrics"], ended=True)
            add_clients(
                self._ended_ledger, worker.state, labels=self._clients, ended=True
            )
            worker.state = None
        worker.buried = True

    def _add_up(self) -> None:
        tally, ledger = self._ended.copy(), self._empty_ledger()
        before = {
            "clients": [account.plain() for account in self._ended_ledger.accounts()],
            "merged": self._ended_ledger.merged,
        }
        add_clients(ledger, before, labels=self._clients, ended=True)
        for worker in self._workers():
            if worker.state is not None:
                tally.add(worker.state["metrics"], ended=False)
                add_clients(ledger, worker.state, labels=self._clients, ended=False)
        self._session.read(tally)
        self.reporter.ledger, self.tally = ledger, tally

    def _empty_ledger(self) -> Ledger:
        return Ledger(max_clients=self._accounts, max_labels=0)


async def _read(worker: "WorkerProcess") -> None:
    state = await ask_json(worker, STATE_PATH) if worker.serving else None
    if state is not None and not worker.buried:
        worker.state = state
