"""What is sent upstream for one client request: its head rewritten, its body as it is."""

from typing import TYPE_CHECKING, Final, Protocol

from reuse_proxy.http.framing import Framing

if TYPE_CHECKING:
    from reuse_proxy.http.request_fields import RequestFields
    from reuse_proxy.http.target import ProxyTarget

_NONE: Final = Framing.NONE
# Methods that may be repeated (RFC 9110 section 9.2.2).
_IDEMPOTENT: Final = frozenset(
    {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PROPFIND", "REPORT", "SEARCH"}
    | {"QUERY"}
)


class RequestBody(Protocol):
    """A client's request body, as it arrives."""

    def take(self) -> bytes | None:
        """Return the whole body if it is here already, else None.

        Raises:
            ProxyError: it must not be sent.
        """

    async def read(self) -> bytes:
        """Return more of the body, or nothing at its end.

        Raises:
            ProxyError: the client sends no valid body, or none in time.
        """


class ForwardRequest:
    """What is sent upstream for one client request.

    A body is added by who makes it: ``body`` with its ``framing``, and ``expect_continue``
    where the client waits for 100.  ``via`` is its own line of Via, ``upgrade`` are the protocols to ask for (RFC 9110 section 7.8).
    """

    __slots__ = (
        "body",
        "expect_continue",
        "fields",
        "framing",
        "idempotent",
        "method",
        "target",
        "upgrade",
        "via",
    )

    def __init__(
        self,
        method: str,
        target: "ProxyTarget",
        fields: "RequestFields",
        via: bytes,
    ) -> None:
        self.method = method
        self.target = target
        self.fields = fields
        self.via = via
        self.framing = _NONE
        self.body: RequestBody | None = None
        self.upgrade = b""
        self.expect_continue = False
        self.idempotent = method in _IDEMPOTENT or fields.idempotency_key

    def head(self) -> bytes:
        """Return the request's head as it goes to the origin."""
        before, behind = self.fields.around_host()
        return b"".join(
            (
                self.method.encode("ascii"),
                b" ",
                self.target.path,
                before,
                self.target.host,
                behind,
                self._optional() if self.expect_continue or self.upgrade else b"",
                self.via,
                b"\r\n",
            )
        )

    def _optional(self) -> bytes:
        lines = b"Expect: 100-continue\r\n" if self.expect_continue else b""
        if self.upgrade:
            lines += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % self.upgrade
        return lines
