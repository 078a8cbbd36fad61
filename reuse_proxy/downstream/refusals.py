"""Why a request is refused before it is one: limits, and aiohttp's errors as ours."""

import re
from typing import Final

from aiohttp.http_exceptions import (
    BadHttpMessage,
    BadHttpMethod,
    InvalidHeader,
    InvalidURLError,
    LineTooLong,
)
from aiohttp.http_parser import RawRequestMessage

from reuse_proxy.errors import ProxyError, RequestError

# Two different numbers, so that an error tells which of the two was exceeded.
MAX_TARGET_BYTES: Final = 16 * 1024
MAX_FIELD_BYTES: Final = 32 * 1024
MAX_HEAD_BYTES: Final = 64 * 1024
MAX_FIELDS: Final = 256
# The parser quotes the line in which it did not find a method of its table.
_METHOD: Final = re.compile(r"""b['"][!#$%&'*+.^_`|~0-9A-Za-z-]+ [^ ]+ HTTP/1\.""")


def translate(exc: BaseException | None) -> ProxyError:
    """Turn what aiohttp raises before a handler runs into an error of ours."""
    match exc:
        case ProxyError():
            error: ProxyError = exc
        case LineTooLong() if exc.args[1] == MAX_TARGET_BYTES:
            error = RequestError(
                f"The request target is longer than {MAX_TARGET_BYTES} bytes.",
                status=414,
            )
        case BadHttpMessage() if _is_too_large(exc):
            error = head_too_large()
        case InvalidURLError():
            error = RequestError(
                f"The request target is malformed ({cause_of(exc)}); it is a URL of"
                " printable ASCII, and all else in it is percent-encoded."
            )
        case BadHttpMethod() if _METHOD.search(exc.message):
            error = RequestError(
                "The request's method is not one that this proxy knows.", status=501
            )
        case BadHttpMethod() if "HTTPS" in exc.message:
            error = RequestError(
                "What came here is TLS; a proxy's own URL begins with http://, "
                "also where it is to carry https:// requests."
            )
        case BadHttpMessage():
            error = RequestError(f"The request is not valid HTTP/1.1: {cause_of(exc)}.")
        case _:
            error = internal_error()
    return error


def cause_of(exc: BaseException) -> str:
    """Say what the parser minded, without the part of the head that it quotes."""
    match exc:
        case LineTooLong():
            return "a line is too long"
        case InvalidHeader():
            return "a field line is malformed"
        case InvalidURLError() if "\n" not in exc.message:
            return "it has no valid host"
        case BadHttpMessage():
            said = exc.message.removeprefix("Bad status line:\n").strip()
            return said.partition("\n")[0].rstrip(":.")
        case _:
            return type(exc).__name__


def is_oversized(message: RawRequestMessage) -> bool:
    """Tell whether a head that has been parsed is larger than allowed in all."""
    size = sum(len(name) + len(value) + 4 for name, value in message.raw_headers)
    return size > MAX_HEAD_BYTES


def _is_too_large(exc: BadHttpMessage) -> bool:
    return isinstance(exc, LineTooLong) or "Too many headers" in exc.message


def head_too_large() -> ProxyError:
    """Return the error for a head beyond one of its limits."""
    return RequestError(
        f"The request head exceeds {MAX_HEAD_BYTES} bytes, {MAX_FIELDS} fields, "
        f"or {MAX_FIELD_BYTES} bytes in one field.",
        status=431,
    )


def head_too_slow(seconds: float) -> ProxyError:
    """Return the error for a head that is not complete in time."""
    return RequestError(
        f"The request head took longer than {seconds:g} s (client_head_timeout).",
        status=408,
    )


def body_too_large(most: int) -> ProxyError:
    """Return the error for a body beyond the limit that is set."""
    return RequestError(
        f"The request body exceeds {most} bytes (max_request_body).", status=413
    )


def body_too_slow(seconds: float) -> ProxyError:
    """Return the error for a body that pauses for too long."""
    return RequestError(
        f"The request body paused for {seconds:g} s (client_body_timeout).",
        status=408,
    )


def internal_error() -> ProxyError:
    """Return the answer to a failure of our own."""
    return ProxyError("This is an error of reuse-proxy itself; see its log.")
