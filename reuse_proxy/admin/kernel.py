"""The kernel's view of our sockets, to hold our own numbers against (Linux)."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_TABLES: Final = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
# include/net/tcp_states.h
_STATES: Final = {
    "01": "established",
    "02": "syn_sent",
    "04": "fin_wait",
    "05": "fin_wait",
    "06": "time_wait",
    "08": "close_wait",
    "09": "last_ack",
    "0B": "closing",
}
_STATE_COLUMN, _INODE_COLUMN = 3, 9


def socket_states(descriptors: Iterable[int]) -> Counter[str]:
    """Count sockets by TCP state, as the kernel's table has them.

    Args:
        descriptors: open descriptors of this process; closed ones are passed over.
    """
    inodes = set()
    for descriptor in descriptors:
        if descriptor >= 0:
            inodes.add(str(os.fstat(descriptor).st_ino))
    states = Counter[str](dict.fromkeys(_STATES.values(), 0))
    for table in _TABLES:
        if inodes and table.exists():
            for line in table.read_text("ascii").splitlines()[1:]:
                columns = line.split()
                if columns[_INODE_COLUMN] in inodes:
                    states[_STATES.get(columns[_STATE_COLUMN], "other")] += 1
    return states
