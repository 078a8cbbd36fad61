"""One line of the access log: its fields, and its two forms.  Pure.

What a client has sent is escaped in both, so that a line is always one line of
printable ASCII, and no client can make it say what it likes.
"""

import json
import re
from typing import Final, NamedTuple, TypeAlias

# As nginx does: what is not printable ASCII, and what could end a string.
_UNSAFE: Final = re.compile(r"[^ !#-\[\]-~]")
_UNSAFE_OR_SPACE: Final = re.compile(r"[^!#-\[\]-~]")
# Entry has a field of that name.
_Line: TypeAlias = bytes
_quoted = json.JSONEncoder().encode


class Entry(NamedTuple):
    """What is told of a request: JSON's keys; None is ``null`` there, ``-`` in text.

    ``docs/logs.md`` says what each of them means.
    """

    time: str
    client: str
    method: str | None = None
    origin: str | None = None
    path: str | None = None
    status: int = 0
    bytes: int = 0
    received: int = 0
    via: str = "none"
    why_not_reused: str | None = None
    queue: float | None = None
    connect: float | None = None
    total: float | None = None
    error: str | None = None
    aborted: str | None = None
    trace_id: str | None = None

    def as_json(self) -> _Line:
        """Return an object on a line of its own."""
        return (_OBJECT % tuple(map(_json, self))).encode("ascii")

    def as_text(self) -> _Line:
        """Return columns with a space between; the client, which may have some, last."""
        url = None
        if self.origin is not None or self.path is not None:
            url = (self.origin or "") + (self.path or "")
        columns = (
            *(self.time, self.status, self.method, url, self.bytes, self.received),
            *(self.via, self.why_not_reused, self.queue, self.connect, self.total),
            *(self.error, self.aborted),
        )
        words = [_column(value) for value in columns]
        words.append(_UNSAFE.sub(_escaped, self.client))
        return " ".join(words).encode("ascii") + b"\n"


# The names with a place for each value.
_OBJECT: Final = "{{{}}}\n".format(",".join(f'"{name}":%s' for name in Entry._fields))


def _json(value: str | float | None) -> str:
    if value is None:
        return "null"
    return _quoted(value) if isinstance(value, str) else repr(value)


def _column(value: str | float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return _UNSAFE_OR_SPACE.sub(_escaped, value) or "-"
    return str(value) if isinstance(value, int) else f"{value:.6f}"


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "replace"))
