"""How long a message body is (RFC 9112 section 6), in both directions."""

from enum import Enum
from typing import TYPE_CHECKING, Final

from reuse_proxy.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

LAST_CHUNK: Final = b"0\r\n\r\n"
_MAX_LENGTH_DIGITS: Final = 19
_BODYLESS: Final = (204, 304)
_MAX_LENGTH: Final = 2**63 - 1


class Framing(Enum):
    """What delimits a body on the wire."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


# Looked up once: an enumeration's members are descriptors on Python 3.11.
_NONE: Final = Framing.NONE
_LENGTH: Final = Framing.LENGTH
_CHUNKED: Final = Framing.CHUNKED
_CLOSE: Final = Framing.CLOSE


def parse_length(value: bytes) -> int | None:
    """Return a Content-Length, or None where RFC 9110 section 8.6 calls it invalid."""
    if value.isdigit() and len(value) <= _MAX_LENGTH_DIGITS:
        length = int(value)
        return length if length <= _MAX_LENGTH else None
    return None


def request_framing(
    *, http10: bool, lengths: "Sequence[bytes]", codings: "Sequence[bytes]"
) -> tuple[Framing, int]:
    """Decide a request body's framing from its fields (RFC 9112 section 6.3).

    Returns:
        The framing, and the Content-Length or 0.

    Raises:
        RequestError: 400 where framing is ambiguous, 501 for an unknown coding.
    """
    if codings:
        _check_request_coding(codings, http10=http10, has_length=bool(lengths))
        return _CHUNKED, 0
    if not lengths:
        return _NONE, 0
    length = parse_length(lengths[0])
    if length is None or len(lengths) > 1:
        raise RequestError("Content-Length must be one decimal number.")
    return (_LENGTH, length) if length else (_NONE, 0)


def _check_request_coding(
    codings: "Sequence[bytes]", *, http10: bool, has_length: bool
) -> None:
    if has_length:
        raise RequestError(
            "A request with both Content-Length and Transfer-Encoding is refused "
            "(RFC 9112 section 6.1)."
        )
    if http10:
        raise RequestError(
            "HTTP/1.0 knows no Transfer-Encoding (RFC 9112 section 6.1)."
        )
    names = [name.strip().lower() for name in b",".join(codings).split(b",")]
    if names[-1] != b"chunked" or names.count(b"chunked") > 1:
        raise RequestError("The last transfer coding must be chunked, applied once.")
    if len(names) > 1:
        raise RequestError(
            "The only transfer coding understood is chunked.", status=501
        )


def bodyless(method: str, status: int) -> bool:
    """Tell whether a response has no body whatever its fields say."""
    return method == "HEAD" or status < 200 or status in _BODYLESS


def reply_framing(
    method: str,
    status: int,
    has_length: bool,  # noqa: FBT001 - called for every response
    http10: bool,  # noqa: FBT001 - keywords are slower
) -> Framing:
    """Choose how a response body is delimited towards the client."""
    if method == "HEAD" or status < 200 or status in _BODYLESS:
        return _NONE
    if has_length:
        return _LENGTH
    return _CLOSE if http10 else _CHUNKED


def chunk(pieces: "Sequence[bytes]") -> list[bytes]:
    """Frame pieces as one chunk; nothing for no bytes, which would end the body."""
    size = sum(map(len, pieces))
    return [b"%x\r\n" % size, *pieces, b"\r\n"] if size else []
