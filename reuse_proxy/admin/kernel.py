"""The kernel's view of our sockets, to hold our own numbers against (Linux)."""

import socket
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Final

# include/net/tcp_states.h
_STATES: Final = {
    1: "established",
    2: "syn_sent",
    4: "fin_wait",
    5: "fin_wait",
    6: "time_wait",
    8: "close_wait",
    9: "last_ack",
    11: "closing",
}


def socket_states(descriptors: Iterable[int]) -> Counter[str]:
    """Count sockets by TCP state, by what the kernel says of each.

    Each is asked (tcp(7), TCP_INFO), because the table in /proc is as long as the
    machine has sockets, and may show one twice while others come and go.

    Args:
        descriptors: open TCP sockets of this process; -1 is passed over.
    """
    states = Counter[str](dict.fromkeys(_STATES.values(), 0))
    if sys.platform == "linux":
        for descriptor in descriptors:
            if descriptor >= 0:
                states[_STATES.get(_state(descriptor), "other")] += 1
    return states


def _state(descriptor: int) -> int:
    borrowed = socket.socket(fileno=descriptor)
    try:
        # struct tcp_info begins with tcpi_state.
        return borrowed.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    finally:
        borrowed.detach()
