"""What a response says before its body."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reuse_proxy.http.response_fields import ResponseFields


class ResponseHead:
    """Status line and fields of one response, interim or final.

    An interim one (RFC 9110 section 15.2) is followed by another response.
    """

    __slots__ = ("fields", "http10", "interim", "reason", "status")

    def __init__(
        self,
        status: int,
        reason: bytes,
        fields: "ResponseFields",
        http10: bool,  # noqa: FBT001 - keywords are slower
    ) -> None:
        self.status = status
        self.reason = reason
        self.fields = fields
        self.http10 = http10
        self.interim = status < 200 and status != 101
