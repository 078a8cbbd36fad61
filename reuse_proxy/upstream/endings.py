"""How an exchange on a connection goes wrong, as our errors and close reasons."""

import ssl
from typing import TYPE_CHECKING

from reuse_proxy.errors import (
    ProxyError,
    UpstreamClosedError,
    UpstreamProtocolError,
    UpstreamTimeoutError,
)
from reuse_proxy.http.target import PARENT
from reuse_proxy.upstream.books import CloseReason, State
from reuse_proxy.upstream.parent import spelled

if TYPE_CHECKING:
    from reuse_proxy.http.target import Origin
    from reuse_proxy.upstream.connection import UpstreamConnection


def check_progress(
    connection: "UpstreamConnection", now: float, *, limit: float
) -> None:
    """Fail an exchange whose origin has moved no byte for ``limit`` seconds."""
    if connection.moved or not connection.reading:
        connection.moved = False
        connection.moved_at = now
    elif now - connection.moved_at >= limit:
        connection.fail(
            UpstreamTimeoutError(
                f"{connection.pool.origin} moved no byte for {limit:g} s "
                f"(response_timeout)."
            )
        )


def closed_at_once(origin: "Origin") -> UpstreamClosedError:
    """Return the error of an origin that lets no request begin."""
    hint = ""
    if origin.scheme == "https":
        hint = " Perhaps it wants a certificate of its clients (client_cert)."
    return UpstreamClosedError(f"{origin} accepts and closes at once.{hint}")


def asked_through(origin: "Origin") -> str:
    """End a sentence about an origin that a parent may be to blame for instead."""
    if origin.scheme != PARENT or origin.parent is None:
        return ""
    return f" It was asked through the parent {spelled(origin.parent)}."


def ended_early(
    exc: Exception | None, origin: "Origin", *, received: bool
) -> UpstreamClosedError:
    """Return the error of a connection that ended amid an exchange.

    Args:
        exc: what the loop was told; None for a FIN.
        origin: where the connection led.
        received: any byte of the response has come.
    """
    if isinstance(exc, ssl.SSLError) and exc.reason:
        hint = "; see client_cert" if "CERTIFICATE_REQUIRED" in exc.reason else ""
        return UpstreamClosedError(
            "The origin ended TLS before its response was complete "
            f"({exc.reason.replace('_', ' ').lower()}{hint}).",
            error="tls_alert_received",
        )
    how = "reset" if exc else "closed"
    return UpstreamClosedError(
        f"The origin {how} the connection before its response was complete."
        f"{asked_through(origin)}",
        error="http_response_incomplete" if received else None,
    )


def reason_to_close(connection: "UpstreamConnection") -> CloseReason:
    """Tell why a connection that is not reusable is discarded."""
    if connection.state is State.TUNNEL:
        return CloseReason.TUNNEL_END
    response = connection.response
    if response.surplus:
        return CloseReason.UNSOLICITED
    if connection.error is not None:
        return _reason_of(connection.error)
    if not connection.request_sent or not response.complete:
        return CloseReason.ABORTED
    return CloseReason.SERVER_CLOSE


def _reason_of(error: ProxyError) -> CloseReason:
    if isinstance(error, UpstreamProtocolError):
        return CloseReason.PROTOCOL_ERROR
    if isinstance(error, UpstreamClosedError):
        return CloseReason.TRUNCATED
    return CloseReason.TIMEOUT
