"""The ledger's clients, as metrics and as JSON.

Metrics carry the labels that the ledger has admitted; what several clients share, the
label ``other``, is their sum, and has a verdict if any of them has it.
"""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client.metrics_core import Metric

from reuse_proxy.admin.families import counter, gauge, histogram
from reuse_proxy.ledger.verdict import Verdict
from reuse_proxy.report.build import PHASES

if TYPE_CHECKING:
    from reuse_proxy.report.build import Reporter


def clients_view(reporter: "Reporter") -> dict[str, Any]:
    """Describe every client, the worst first."""
    return {"clients": reporter.clients(), "merged": reporter.ledger.merged}


def client_metrics(reporter: "Reporter") -> Iterator[Metric]:
    """Yield the metric families about clients."""
    sums = Sums(reporter)
    yield gauge(
        "client_connections", "Client connections that are open", ["client"], sums.open
    )
    yield counter(
        "client_connections_opened",
        "Connections that clients have opened",
        ["client"],
        sums.connections,
    )
    yield counter("client_requests", "Requests of clients", ["client"], sums.requests)
    yield histogram(
        "client_requests_per_connection",
        "Requests that a closed client connection had carried",
        None,
        {"": reporter.ledger.requests_per_connection},
    )
    yield counter(
        "client_aborts",
        "Exchanges that clients left before their end",
        ["client", "when"],
        sums.aborts,
    )
    yield counter(
        "client_bodies_unread",
        "Responses that clients closed unread after they had been sent in full",
        ["client"],
        sums.unread,
    )
    yield counter(
        "client_stalls",
        "Clients reset because they did not read",
        ["client"],
        sums.stalls,
    )
    yield gauge(
        "client_leak_verdict",
        "1 for the verdict that a client has, else 0",
        ["client", "verdict"],
        sums.verdicts,
    )


class Sums:
    """Sums over the accounts by label."""

    def __init__(self, reporter: "Reporter") -> None:
        self.open = Counter[tuple[str, ...]]()
        self.connections = Counter[tuple[str, ...]]()
        self.requests = Counter[tuple[str, ...]]()
        self.aborts = Counter[tuple[str, ...]]()
        self.unread = Counter[tuple[str, ...]]()
        self.stalls = Counter[tuple[str, ...]]()
        self.verdicts = Counter[tuple[str, ...]]()
        for account in reporter.ledger.accounts():
            label = (account.label,)
            self.open[label] += account.open
            self.connections[label] += account.connections
            self.requests[label] += account.requests
            self.unread[label] += account.unread
            self.stalls[label] += account.stalls
            for phase in PHASES:
                self.aborts[account.label, phase] += account.aborts[phase]
            found = reporter.judge(account).verdict
            for verdict in Verdict:
                sample = (account.label, str(verdict))
                self.verdicts[sample] |= int(verdict is found)
