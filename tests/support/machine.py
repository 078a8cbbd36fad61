"""The machine that the tests run on."""

import contextlib
import socket

import pytest


def own_address() -> str:
    """An address of this machine that is not loopback; skips where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        host: str = probe.getsockname()[0]
    return host


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on yet."""
    with contextlib.ExitStack() as stack:
        socks = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            for _ in range(count)
        ]
        return [sock.getsockname()[1] for sock in socks]
