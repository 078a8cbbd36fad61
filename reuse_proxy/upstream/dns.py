"""Names to addresses: cached for ``dns_ttl``, one look-up at a time per name."""

import asyncio
import socket
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from aiohttp.abc import AbstractResolver

from reuse_proxy.errors import UpstreamConnectError, UpstreamTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from reuse_proxy.tasks import TaskSet
    from reuse_proxy.upstream.stats import SessionStats

# A failed look-up is remembered briefly: a client in a loop must not flood the
# name server, a name that has just been made must soon be found.
_NEGATIVE_TTL_S: Final = 1.0
_MAX_NAMES: Final = 10_000
_TEMPORARY: Final = (socket.EAI_AGAIN,)

Addresses = tuple[str, ...]


class _Entry:
    __slots__ = ("addresses", "error", "expires_at")

    def __init__(self, expires_at: float) -> None:
        self.expires_at = expires_at
        self.addresses: Addresses = ()
        self.error: UpstreamConnectError | None = None


class NameCache:
    """Addresses of names, from an aiohttp resolver."""

    def __init__(
        self,
        resolver: AbstractResolver,
        *,
        ttl: float,
        timeout: float,
        tasks: "TaskSet",
        stats: "SessionStats",
        changed: "Callable[[str, Addresses], None]",
    ) -> None:
        self._resolver = resolver
        self.configure(ttl=ttl, timeout=timeout)
        self._tasks = tasks
        self._stats = stats
        self._changed = changed
        self._entries: dict[str, _Entry] = {}
        self._lookups: dict[str, asyncio.Task[Addresses]] = {}

    def configure(self, *, ttl: float, timeout: float) -> None:
        """Set, in seconds, how long addresses are believed, and a look-up may take."""
        self._ttl = ttl
        self._timeout = timeout

    async def resolve(self, host: str) -> Addresses:
        """Return the addresses of a host, from the cache while they are fresh.

        Raises:
            UpstreamConnectError: the name has no address (502, dns_error).
            UpstreamTimeoutError: the look-up took too long (504, dns_timeout).
        """
        if is_address(host):
            return (host,)
        entry = self._entries.get(host)
        if entry is not None and asyncio.get_running_loop().time() < entry.expires_at:
            if entry.error is not None:
                raise UpstreamConnectError(entry.error.sentence, error="dns_error")
            return entry.addresses
        # Shielded: one client that leaves must not end the look-up of the others.
        return await asyncio.shield(self._lookup(host))

    def refresh(self, host: str) -> "asyncio.Task[Addresses] | None":
        """Look a name up again in the background once its addresses are stale."""
        entry = self._entries.get(host)
        now = asyncio.get_running_loop().time()
        if entry is None or now < entry.expires_at or host in self._lookups:
            return None
        return self._lookup(host)

    def sweep(self, now: float) -> None:
        """Forget names that nobody has asked for since their addresses went stale."""
        if len(self._entries) > _MAX_NAMES:
            for host, entry in list(self._entries.items()):
                if now >= entry.expires_at:
                    del self._entries[host]

    def _lookup(self, host: str) -> "asyncio.Task[Addresses]":
        lookup = self._lookups.get(host)
        if lookup is None:
            lookup = self._tasks.run(self._look_up(host), name=f"dns {host}")
            self._lookups[host] = lookup
            lookup.add_done_callback(lambda done: self._done(host, done))
        return lookup

    def _done(self, host: str, lookup: "asyncio.Task[Addresses]") -> None:
        self._lookups.pop(host, None)
        if not lookup.cancelled():
            # Retrieved here, so that a look-up whose clients all left is not noisy.
            lookup.exception()

    async def _look_up(self, host: str) -> Addresses:
        now = asyncio.get_running_loop().time()
        # uvloop's clock counts milliseconds: too coarse for what is measured.
        started = time.perf_counter()
        entry = _Entry(now + self._ttl)
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._resolver.resolve(host, 0, socket.AF_UNSPEC)
            if not found:
                raise OSError(None, "it has no usable address")  # noqa: TRY301
        except TimeoutError:
            self._stats.dns_lookups["timeout"] += 1
            raise UpstreamTimeoutError(
                f"Looking up {host} took longer than {self._timeout:g} s "
                f"(connect_timeout).",
                error="dns_timeout",
            ) from None
        except (OSError, UnicodeError) as exc:
            # UnicodeError: the name has an empty or an overlong label.
            self._stats.dns_lookups["error"] += 1
            cause = "it is no valid name"
            if isinstance(exc, OSError):
                cause = exc.strerror or str(exc)
            entry.expires_at = now + _NEGATIVE_TTL_S
            entry.error = UpstreamConnectError(
                f"The name {host} could not be resolved: {cause}.",
                error="dns_error",
            )
            self._entries[host] = entry
            raise entry.error from exc
        self._stats.dns_lookups["ok"] += 1
        self._stats.connect_seconds["dns"].observe(time.perf_counter() - started)
        entry.addresses = tuple(dict.fromkeys(result["host"] for result in found))
        old = self._entries.get(host)
        self._entries[host] = entry
        if old is not None and set(old.addresses) != set(entry.addresses):
            # Whoever asked: a change that a dial finds is a change too.
            self._changed(host, entry.addresses)
        return entry.addresses


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address rather than a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
