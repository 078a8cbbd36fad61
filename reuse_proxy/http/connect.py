"""CONNECT from the side of who asks: the request, and the head that answers it.

What follows the head of a 2xx belongs to the tunnel, whatever its fields say of a body
(RFC 9110 section 9.3.6); so nothing of them is read but why a tunnel is refused.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from reuse_proxy.errors import UpstreamProtocolError

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?\r?\n")
_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
_TOKEN: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,32}")
_QUOTED: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')
_CHALLENGE: Final = b"proxy-authenticate"
_MAX_SCHEMES: Final = 8
# The most that :func:`end_of_head` needs of what came before.
OVERLAP: Final = 2


class ConnectAnswer(NamedTuple):
    """What a proxy has answered; ``schemes`` are those of its Proxy-Authenticate."""

    status: int
    schemes: tuple[str, ...]


def connect_head(place: str, *lines: bytes) -> bytes:
    """Return the request for a tunnel to ``host:port``, with further field lines."""
    name = place.encode("ascii")
    return b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (name, name, b"".join(lines))


def end_of_head(data: bytes) -> int:
    """Return where a head ends, or -1 if it goes on (RFC 9112 section 2.2)."""
    found = _BLANK_LINE.search(data)
    return -1 if found is None else found.end()


def read_answer(head: bytes) -> ConnectAnswer:
    """Read a whole head.

    Raises:
        UpstreamProtocolError: it is not HTTP/1.1 or 1.0.
    """
    start = _STATUS_LINE.match(head)
    if start is None:
        raise UpstreamProtocolError("What came is no answer of HTTP/1.1.")
    lines = (line.partition(b":") for line in head[start.end() :].splitlines())
    challenges = (value for name, _, value in lines if name.lower() == _CHALLENGE)
    return ConnectAnswer(int(start[1]), challenge_schemes(challenges))


def challenge_schemes(challenges: Iterable[bytes]) -> tuple[str, ...]:
    """Return the schemes that challenges offer (RFC 9110 section 11.6.1), in order."""
    schemes: dict[str, None] = {}
    for challenge in challenges:
        for part in _QUOTED.sub(b"", challenge).split(b","):
            word = (part.split(None, 1) or [b""])[0]
            if _TOKEN.fullmatch(word):  # a parameter's = is in its first word
                schemes[word.decode("ascii")] = None
    return tuple(schemes)[:_MAX_SCHEMES]
