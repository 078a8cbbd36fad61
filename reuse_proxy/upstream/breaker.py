"""The circuit breaker: an origin that cannot be reached is not dialled at every request.

After ``breaker_failures`` dials in a row that failed, requests are refused at once for
``breaker_time``; then one dial probes, and whoever comes meanwhile waits for its end.
Pure rules over the pool's books, as those of ``ages`` are.  (PgBouncer fails fast for
``server_login_retry``, Envoy ejects a host after five errors in a row.)
"""

from math import ceil
from typing import TYPE_CHECKING, Final

from reuse_proxy.errors import (
    ProxyError,
    UnavailableError,
    UpstreamConnectError,
    UpstreamTimeoutError,
)

if TYPE_CHECKING:
    from reuse_proxy.upstream.books import Limits, OriginPool

# These say nothing of the origin, only of its name.
_OF_NAMES: Final = ("dns_error", "dns_timeout")
# Longer than scrapes are apart; from then on the next request dials as ever.
_REMEMBERED_S: Final = 60.0


class Breaker:
    """The rules under given limits; times are in seconds of the loop's clock."""

    def __init__(self, limits: "Limits") -> None:
        self._failures = limits.breaker_failures
        self._seconds = limits.breaker_time

    # Learn...

    def dialed(self, pool: "OriginPool") -> None:
        """Note that the origin can be reached."""
        pool.last_failure = ""
        pool.failures = 0

    def failed(self, pool: "OriginPool", error: Exception, now: float) -> None:
        """Note a failed dial; the last of several in a row opens the breaker."""
        pool.last_failure = str(error)
        if _is_of_origin(error):
            pool.failures += 1
            pool.failed_at = pool.used_at = now

    def forget(self, pool: "OriginPool", now: float) -> None:
        """Forget failures that are too long ago to say anything; once a second."""
        if pool.failures and now - pool.failed_at > self._seconds + _REMEMBERED_S:
            pool.failures = 0

    # Judge...

    def is_open(self, pool: "OriginPool") -> bool:
        """Tell whether the last dials have all failed, and none has succeeded since."""
        return 0 < self._failures <= pool.failures

    def keeps_out(self, pool: "OriginPool") -> bool:
        """Tell whether requests fail for it: it is open, and no connection serves."""
        return self.is_open(pool) and not _serves(pool)

    def allows(self, pool: "OriginPool", now: float) -> bool:
        """Tell whether a dial may begin: while the breaker is open, one to probe."""
        if not self.is_open(pool):
            return True
        return now >= pool.failed_at + self._seconds and not pool.dialing

    def refuses(self, pool: "OriginPool", now: float) -> bool:
        """Tell whether who waits would wait in vain."""
        return (
            self.keeps_out(pool)
            and now < pool.failed_at + self._seconds
            and not pool.dialing
        )

    def refusal(self, pool: "OriginPool", now: float) -> UnavailableError:
        """Say so, and when the origin is dialled again."""
        seconds = max(ceil(pool.failed_at + self._seconds - now), 1)
        error = UnavailableError(
            f"The last {pool.failures} dials of {pool.origin} failed, so it is not"
            f" dialled for another {seconds} s (breaker_failures, breaker_time)."
            f" The last one: {pool.last_failure}",
            error="destination_unavailable",
        )
        error.retry_after = seconds
        return error


def _serves(pool: "OriginPool") -> bool:
    """Tell whether a connection may become free; a client's private one will not."""
    return bool(pool.idle or pool.active or pool.draining)


def _is_of_origin(error: Exception) -> bool:
    """Tell what an origin, or the way to it, is to blame for: not policy, not us."""
    return (
        isinstance(error, ProxyError)
        and isinstance(error, UpstreamConnectError | UpstreamTimeoutError)
        and error.error not in _OF_NAMES
    )
