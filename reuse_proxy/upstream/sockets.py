"""The socket under an upstream connection: what identifies it, what the kernel knows."""

import select
from asyncio import Protocol as AsyncioProtocol
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    import asyncio
    import ssl

# Linux alone tells a FIN from data without reading.
_POLLRDHUP: Final = getattr(select, "POLLRDHUP", 0)


class UpstreamSocket(AsyncioProtocol):
    """A socket to an origin."""

    __slots__ = ("_poll", "_transport", "address", "local_address")

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: "asyncio.BaseTransport") -> None:
        """Keep the transport and what identifies it (asyncio's callback)."""
        self._transport = cast("asyncio.Transport", transport)
        self.address = transport.get_extra_info("peername")
        self.local_address = transport.get_extra_info("sockname")
        self._poll = select.poll()
        self._poll.register(self.fileno(), select.POLLIN | _POLLRDHUP)

    def fileno(self) -> int:
        """Return the socket's descriptor, -1 once it is closed."""
        if (transport := self._transport) is None:
            return -1
        sock = transport.get_extra_info("socket")
        return -1 if sock is None else cast("int", sock.fileno())

    def is_readable(self) -> bool:
        """Tell whether data, FIN or RST has come that the loop has not taken."""
        return bool(self._poll.poll(0))

    @property
    def hung_up(self) -> bool:
        """Whether the origin has closed its side, as the kernel knows it."""
        polled = self._poll.poll(0) if self._transport is not None else ()
        return any(events & _POLLRDHUP for _, events in polled)

    @property
    def tls(self) -> "ssl.SSLObject | None":
        """What TLS has agreed on, if it is spoken."""
        if (transport := self._transport) is None:
            return None
        return cast("ssl.SSLObject | None", transport.get_extra_info("ssl_object"))

    def abort(self) -> None:
        """Close the socket without waiting for unsent bytes."""
        if self._transport is not None:
            self._transport.abort()
