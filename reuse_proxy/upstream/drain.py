"""Bounds on reading for nobody: how much of a response is drained, and how long.

Go 1.27 drains 256 KiB for 50 ms after an early Close; a proxy that enforces reuse
can afford more, and must still be bounded (design D7).
"""

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING

from reuse_proxy.errors import ProxyError

if TYPE_CHECKING:
    from reuse_proxy.upstream.connection import UpstreamConnection


class DrainResult(StrEnum):
    """How a drain ended; a metric's label."""

    REUSED = "reused"
    TOO_BIG = "too_big"
    TOO_SLOW = "too_slow"
    ERROR = "error"


def is_too_big(connection: "UpstreamConnection", max_bytes: int) -> bool:
    """Tell whether what is left of a response is known to exceed the bound."""
    head = connection.response.final
    if head is None:
        return False
    if head.fields.event_stream:
        return True
    length = head.fields.length
    return length is not None and length - connection.response.body_bytes > max_bytes


async def drain(
    connection: "UpstreamConnection", *, max_bytes: int, seconds: float
) -> DrainResult:
    """Read a response to its end and keep nothing of it.

    Args:
        connection: leased, its request sent, its client gone.
        max_bytes: how much of the body is read at most.
        seconds: how long it may take.
    """
    start = connection.response.body_bytes
    connection.discard_body()
    try:
        async with asyncio.timeout(seconds):
            while not connection.response.complete:
                await connection.arrival()
                if connection.response.body_bytes - start > max_bytes or is_too_big(
                    connection, max_bytes
                ):
                    return DrainResult.TOO_BIG
    except TimeoutError:
        return DrainResult.TOO_SLOW
    except ProxyError:
        return DrainResult.ERROR
    return DrainResult.REUSED if connection.is_reusable() else DrainResult.ERROR
