"""What the sockets of our transports tell, and how they are closed."""

import asyncio
import fcntl
import select
import socket
import struct
import termios
from typing import Final, cast

_RESET: Final = struct.pack("ii", 1, 0)


def descriptor_of(transport: asyncio.BaseTransport | None) -> int:
    """Return a transport's descriptor, -1 once it is closed."""
    sock = None if transport is None else transport.get_extra_info("socket")
    return -1 if sock is None else cast("int", sock.fileno())


def unacknowledged(descriptor: int) -> int:
    """Return how many bytes in a socket's buffer its peer has not acknowledged."""
    if descriptor < 0:
        return 0
    try:
        raw = fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0\0\0\0")
    except OSError:
        return 0
    return int(struct.unpack("i", raw)[0])


def buffered(transport: asyncio.Transport | None) -> int:
    """Return how many bytes wait in a transport."""
    return 0 if transport is None else transport.get_write_buffer_size()


def unsent(transport: asyncio.Transport | None) -> int:
    """Return how many bytes have not reached the peer's kernel, as far as we know."""
    return buffered(transport) + unacknowledged(descriptor_of(transport))


def was_reset(descriptor: int) -> bool:
    """Tell whether the peer of a socket that is not being read from has closed it."""
    if descriptor < 0:
        return False
    poll = select.poll()
    poll.register(descriptor, 0)  # errors and hang-ups are always told
    return bool(poll.poll(0))


def reset(transport: asyncio.Transport) -> None:
    """Close with RST instead of FIN, so that the peer sees a failure."""
    sock = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


def hang_up(transport: asyncio.Transport, below: asyncio.Transport | None) -> None:
    """Close behind what has been written.

    Args:
        transport: what was written to.
        below: what carries it, if it is TLS: closed at once where nothing waits, since
            a peer that is asleep does not answer our close_notify.
    """
    if transport.is_closing():
        return  # asyncio's TLS cannot be asked for its buffer after a second close
    waits = buffered(transport)
    transport.close()
    if below is not None and not waits:
        below.close()
