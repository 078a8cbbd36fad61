"""The one exception tree.

    ReuseProxyError
    ├── SettingsError          a setting cannot be used: exit code 2
    │   ├── CommandNotFoundError     what `run` is to run: 127 (in child.process)
    │   └── CommandNotRunnableError  likewise: 126
    ├── EndedEarlyError        a signal came before the command (in child.process)
    └── ProxyError             a request cannot be served: an HTTP status
        ├── RequestError           the client's request is wrong (4xx, 501)
        │   └── LeafError              no certificate can name the host (in ca.issue)
        ├── IssuerError            the local CA may not sign for it (500, in ca.issue)
        ├── AccessDeniedError      policy says no (403)
        ├── UnavailableError       caps or shutdown: try again later (503)
        ├── UpstreamConnectError   no connection to the origin (502)
        ├── UpstreamTimeoutError   the origin took too long (504)
        ├── UpstreamProtocolError  the origin's answer is not HTTP/1.1 (502)
        └── UpstreamClosedError    the origin went away too early (502)

Foreign exceptions are translated into these once, where they arise.  Each class
carries the status and the RFC 9209 error type that the client sees; an instance
may name a narrower one.  Nothing here knows how an answer is written.
"""

from typing import ClassVar


class ReuseProxyError(Exception):
    """Any failure that reuse-proxy itself reports."""


class SettingsError(ReuseProxyError):
    """A setting, its file or its listener cannot be used; the process exits with 2."""

    exit_code: ClassVar[int] = 2


class ProxyError(ReuseProxyError):
    """A request that gets our own answer instead of the origin's.

    Args:
        sentence: what is wrong, and which setting governs it, for the client.
        status: the HTTP status, where it is not the class's.
        error: the Proxy-Status error type (RFC 9209 section 2.3), likewise.
    """

    status: int = 500
    error: str = "proxy_internal_error"
    retry_after: int | None = None

    def __init__(
        self, sentence: str, *, status: int | None = None, error: str | None = None
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        if status is not None:
            self.status = status
        if error is not None:
            self.error = error


class RequestError(ProxyError):
    """The request breaks a rule of HTTP or a limit of ours."""

    status = 400
    error = "http_request_error"


class AccessDeniedError(ProxyError):
    """The client or the destination is not allowed."""

    status = 403
    error = "http_request_denied"


class UnavailableError(ProxyError):
    """A cap is reached or the process is stopping; the client may try again."""

    status = 503
    error = "connection_limit_reached"
    retry_after: int | None = 1


class UpstreamConnectError(ProxyError):
    """No connection to the origin could be made."""

    status = 502
    error = "destination_unavailable"


class UpstreamTimeoutError(ProxyError):
    """The origin did not answer in time."""

    status = 504
    error = "connection_read_timeout"


class UpstreamProtocolError(ProxyError):
    """The origin's bytes are not a response that may be forwarded."""

    status = 502
    error = "http_protocol_error"


class UpstreamClosedError(ProxyError):
    """The origin closed the connection before its response was complete."""

    status = 502
    error = "connection_terminated"


def status_of(error: BaseException | None) -> int:
    """Return the status of a request that came to no answer of an origin's.

    499 is never sent: as nginx logs a client that left before it was answered.
    """
    if isinstance(error, ProxyError):
        return error.status
    ours = isinstance(error, Exception) and not isinstance(error, ConnectionError)
    return 500 if ours else 499
