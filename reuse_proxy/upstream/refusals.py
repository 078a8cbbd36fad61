"""Why a request gets no connection, or no response: the sentences."""

from typing import TYPE_CHECKING, Final

from reuse_proxy.errors import ProxyError, UnavailableError, UpstreamProtocolError

if TYPE_CHECKING:
    import httptools

    from reuse_proxy.upstream.books import Limits, OriginPool

# The sizes that nginx, squid and HAProxy accept by default lie between 4 and 64 KiB.
MAX_HEAD_BYTES: Final = 64 * 1024
MAX_FIELDS: Final = 256
# Final answers that no origin may give to what we have sent.
REFUSED: Final[dict[int, tuple[str, str | None]]] = {
    101: (
        "The origin switched protocols, which the request did not ask for.",
        "http_upgrade_failed",
    ),
    # RFC 9110 section 15.5.8: a client would give us the origin's password.
    407: ("The origin answered 407, which is for proxies to say.", None),
}
# A parent may ask us for credentials; what becomes of that is the exchange's.
REFUSED_OF_PARENT: Final = {101: REFUSED[101]}


def queue_full(pool: "OriginPool") -> UnavailableError:
    """Return the answer to a request for which there is no place in the queue."""
    return UnavailableError(
        f"{pool.origin} can have no more connections (max_per_origin, max_sockets), "
        f"and {len(pool.waiters)} requests wait for one already (max_queue)."
    )


def waited_too_long(
    pool: "OriginPool", limits: "Limits", *, sockets: int, tunnels: int
) -> UnavailableError:
    """Return the answer to a request that has waited in vain.

    Args:
        pool: the origin's.
        limits: how long it might have waited, and the caps.
        sockets: how many are open to all origins.
        tunnels: how many of these are tunnels.
    """
    why = f" The last dial failed: {pool.last_failure}" if pool.last_failure else ""
    return UnavailableError(
        f"No connection to {pool.origin} became free within "
        f"{limits.queue_timeout:g} s (queue_timeout); {pool.open + len(pool.tunnels)} "
        f"of its own and {sockets} in all are open, {tunnels} of these tunnels"
        f"{_reached(pool, limits, sockets)}.{why}"
    )


def _reached(pool: "OriginPool", limits: "Limits", sockets: int) -> str:
    if pool.sockets >= limits.max_per_origin:
        return ", as many as max_per_origin allows"
    if sockets >= limits.max_sockets:
        return ", as many as max_sockets allows"
    return ""


def not_http(exc: "httptools.HttpParserError") -> ProxyError:
    """Return what a callback raised, or say what the parser minded."""
    cause = exc.__context__
    if isinstance(cause, UpstreamProtocolError):
        return cause
    return UpstreamProtocolError(f"The origin's response is not valid HTTP/1.1: {exc}.")


def head_too_large() -> UpstreamProtocolError:
    """Return the error for a response head beyond one of its limits."""
    return UpstreamProtocolError(
        f"The origin's head exceeds {MAX_HEAD_BYTES} bytes or {MAX_FIELDS} fields.",
        error="http_response_header_section_size",
    )
