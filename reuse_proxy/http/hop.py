"""What requests and responses have in common: the fields of one hop.

RFC 9110 section 7.6.1: what Connection names goes no further.
"""

from collections.abc import Iterable, Sequence
from typing import Final

Fields = Iterable[tuple[bytes, bytes]]

# A Connection option that names one of these must not remove it: the first two
# are regenerated, and without Host the request would change its meaning.
_NOT_HOP_BY_HOP: Final = frozenset({b"content-length", b"transfer-encoding", b"host"})
_HARMLESS_OPTIONS: Final = frozenset(
    {b"close", b"keep-alive", b"upgrade", b"te", b"http2-settings", b""}
)
# Schemes that authenticate the connection, not the request (RFC 4559 section 6).
_BOUND: Final = (b"ntlm", b"negotiate", b"nego2", b"kerberos")
# Values of Connection that name no field.
CLOSE: Final = b"close"
COMMON_OPTIONS: Final = frozenset({CLOSE, b"keep-alive", b"Keep-Alive"})


def options_of(value: bytes) -> list[bytes]:
    """Return the options that a Connection field lists, in lower case."""
    return [option.strip().lower() for option in value.split(b",")]


def without_named(lines: list[bytes], options: Sequence[bytes]) -> list[int]:
    """Remove the fields that Connection names; return where they stood."""
    if _HARMLESS_OPTIONS.issuperset(options):
        return []
    named = set(options) - _NOT_HOP_BY_HOP
    gone = [
        index
        for index, line in enumerate(lines)
        if line.partition(b":")[0].lower() in named
    ]
    for index in reversed(gone):
        del lines[index]
    return gone


def binds(credentials: bytes) -> bool:
    """Tell whether credentials or a challenge are for the whole connection."""
    words = credentials.lower().split(None, 1)
    return bool(words) and words[0] in _BOUND
