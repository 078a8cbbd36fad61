"""W3C Trace Context, read only to be told in a log: nothing of it is ever changed."""

import re
from collections.abc import Iterable
from typing import Final

# Version 00 ends there, later ones may go on; ids of zeros only are no ids.
_TRACEPARENT: Final = re.compile(
    rb"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})"
    rb"-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<more>-.*)?"
)


def trace_id_of(fields: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the trace id of a request; None if it has no valid one, or several."""
    values = [value for name, value in fields if name.lower() == b"traceparent"]
    if len(values) != 1:
        return None
    match = _TRACEPARENT.fullmatch(values[0].strip(b" \t"))
    if match is None or (match["version"] == b"00" and match["more"] is not None):
        return None
    return match["trace"].decode("ascii")
