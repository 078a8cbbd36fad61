"""The leaves of this process: one TLS context per host, in memory, renewed in time.

The only module of the room that knows asyncio. What it issues is never on a disk.
"""

import asyncio
import contextlib
import os
import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from reuse_proxy.ca.issue import issue, new_key
from reuse_proxy.ca.store import Authority
from reuse_proxy.errors import UnavailableError
from reuse_proxy.tasks import TaskSet

_DESCRIPTORS: Final = Path("/proc/self/fd")
HAS_MEMORY_FILES: Final = hasattr(os, "memfd_create") and _DESCRIPTORS.exists()

# No client should see a leaf expire while it talks to us.
_MARGIN: Final = timedelta(days=1)
_MARGIN_SHARE: Final = 10


@dataclass(frozen=True, slots=True)
class _Leaf:
    context: ssl.SSLContext
    renew_at: datetime


class Leaves:
    """Server-side TLS contexts by host.

    Args:
        authority: who signs them.
        tasks: where they are issued; whoever has it closes it.
        max_leaves: how many are kept; the one least recently used goes first.
        clock: returns an aware time.
    """

    def __init__(
        self,
        authority: Authority,
        tasks: TaskSet,
        *,
        max_leaves: int = 1024,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._authority = authority
        self._tasks = tasks
        self._max_leaves = max_leaves
        self._clock = clock
        self._key = new_key()
        self._leaves: OrderedDict[str, _Leaf] = OrderedDict()
        self._issuing: dict[str, asyncio.Task[_Leaf]] = {}

    async def context(self, host: str) -> ssl.SSLContext:
        """Return the context of a host: the one that is kept, or a new one.

        Raises:
            LeafError: the host cannot stand in a certificate.
            IssuerError: the authority has expired or may not sign for the host.
            UnavailableError: the process is stopping.
        """
        leaf = self._leaves.get(host)
        if leaf is not None and self._clock() < leaf.renew_at:
            self._leaves.move_to_end(host)
            return leaf.context
        task = self._issuing.get(host) or self._start(host)
        # Unlike awaiting the task, this does not cancel it for all when one leaves;
        # unlike a shield, it reports no failure that all have left.
        await asyncio.wait({task})
        if task.cancelled():
            raise UnavailableError("The proxy is stopping and issues no certificates.")
        return task.result().context

    def _start(self, host: str) -> asyncio.Task[_Leaf]:
        task = self._tasks.run(self._issue(host), name=f"leaf of {host}")
        self._issuing[host] = task
        # Not at the coroutine's end, which a task cancelled at once never reaches.
        task.add_done_callback(lambda task: self._settle(host, task))
        return task

    async def _issue(self, host: str) -> _Leaf:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, self._make, host)

    def _make(self, host: str) -> _Leaf:
        certificate = issue(self._authority, host, self._key, now=self._clock())
        key = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return _Leaf(server_context(certificate + key), self._renew_at(certificate))

    def _renew_at(self, certificate: bytes) -> datetime:
        leaf = x509.load_pem_x509_certificate(certificate)
        start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        if end >= self._authority.expires_at:
            return end  # a newer one would not be valid for longer
        return end - min(_MARGIN, (end - start) / _MARGIN_SHARE)

    def _settle(self, host: str, task: asyncio.Task[_Leaf]) -> None:
        del self._issuing[host]
        # Asking for the exception also marks it as seen, should all have left.
        if task.cancelled() or task.exception() is not None:
            return
        self._leaves[host] = task.result()
        self._leaves.move_to_end(host)
        while len(self._leaves) > self._max_leaves:
            self._leaves.popitem(last=False)

    def __len__(self) -> int:
        return len(self._leaves)

    def __repr__(self) -> str:
        return (
            f"<Leaves {len(self._leaves)} of at most {self._max_leaves}, "
            f"{len(self._issuing)} being issued>"
        )


def server_context(pem: bytes, *, in_memory: bool = HAS_MEMORY_FILES) -> ssl.SSLContext:
    """Return a context that serves a certificate with its key; it blocks.

    Args:
        pem: the certificate and its private key.
        in_memory: whether the system has files without a disk; else a private one is
            written for a moment.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # `load_cert_chain` takes paths only.
    with (_memory_file if in_memory else _private_file)(pem) as path:
        context.load_cert_chain(path)
    return context


@contextlib.contextmanager
def _memory_file(data: bytes) -> Iterator[Path]:
    with os.fdopen(os.memfd_create("leaf", os.MFD_CLOEXEC), "wb") as file:
        file.write(data)
        file.flush()
        yield _DESCRIPTORS / str(file.fileno())


@contextlib.contextmanager
def _private_file(data: bytes) -> Iterator[Path]:
    with (
        tempfile.TemporaryDirectory(prefix="reuse-proxy-") as folder,
        tempfile.NamedTemporaryFile(dir=folder) as file,
    ):
        file.write(data)
        file.flush()
        yield Path(file.name)
