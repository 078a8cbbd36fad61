"""Why a request is refused before it is one: limits, and llhttp's errors as ours."""

import re
from typing import Final

import httptools

from reuse_proxy.errors import ProxyError, RequestError

MAX_TARGET_BYTES: Final = 16 * 1024
MAX_FIELD_BYTES: Final = 32 * 1024
MAX_HEAD_BYTES: Final = 64 * 1024
MAX_FIELDS: Final = 256
# A line that asks for something, by a method that is not in llhttp's table.
_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^ ]+ HTTP/1\.")
_TLS_HANDSHAKE: Final = b"\x16\x03"


def translate(exc: httptools.HttpParserError, data: bytes) -> ProxyError:
    """Turn what llhttp says of a request's head into an error of ours.

    Args:
        exc: what it says.
        data: the bytes among which it gave up.
    """
    error: ProxyError
    match exc:
        case httptools.HttpParserCallbackError(__context__=ProxyError() as own):
            error = own
        case httptools.HttpParserCallbackError():
            raise exc
        case httptools.HttpParserInvalidURLError():
            error = RequestError(
                f"The request target is malformed ({cause_of(exc)}); it is a URL of"
                " printable ASCII, and all else in it is percent-encoded."
            )
        case httptools.HttpParserInvalidMethodError() if data[:2] == _TLS_HANDSHAKE:
            error = RequestError(
                "What came here is TLS; a proxy's own URL begins with http://, "
                "also where it is to carry https:// requests."
            )
        case httptools.HttpParserInvalidMethodError() if _METHOD.match(
            _last_head(data)
        ):
            error = RequestError(
                "The request's method is not one that this proxy knows.", status=501
            )
        case _:
            error = RequestError(f"The request is not valid HTTP/1.1: {cause_of(exc)}.")
    return error


def _last_head(data: bytes) -> bytes:
    """Return the last head among some bytes."""
    return data.rstrip(b"\r\n").rpartition(b"\r\n\r\n")[2].lstrip(b"\r\n")


def cause_of(exc: httptools.HttpParserError) -> str:
    """Say what the parser minded, as llhttp says it."""
    return str(exc) or type(exc).__name__


def body_malformed(exc: httptools.HttpParserError) -> ProxyError:
    """Return the error for a body in which the parser has given up."""
    if isinstance(exc.__context__, ProxyError):
        return exc.__context__
    return RequestError(f"The request body is malformed: {cause_of(exc)}.")


def overhead_without_end() -> ProxyError:
    """Return the error for a body that is all chunk extensions or trailers."""
    return RequestError("The request sends chunk extensions without end.")


def client_left() -> ProxyError:
    """Return the error for a body whose client has gone."""
    return RequestError("The client went away during its upload.")


def framing_in_trailer() -> ProxyError:
    """Return the error for a trailer that would be about framing."""
    return RequestError(
        "The request has a trailer that belongs into its head (RFC 9110 section 6.5.1)."
    )


def host_missing() -> ProxyError:
    """Return the error for a request of HTTP/1.1 that does not name its host."""
    return RequestError("The request has no Host field (RFC 9112 section 3.2).")


def target_too_long() -> ProxyError:
    """Return the error for a target beyond the limit."""
    return RequestError(
        f"The request target is longer than {MAX_TARGET_BYTES} bytes.", status=414
    )


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
