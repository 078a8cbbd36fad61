"""`reuse-proxy health`: ask a running proxy whether it lives, for container engines.

They ask every few seconds, also where a container has a tenth of a core: this reads no
settings and needs only the standard library, and `__main__` comes here at once.
"""

import argparse
import http.client
import os
import socket
import sys
from collections.abc import Sequence
from typing import Final

from reuse_proxy.commands.asking import add_admin, admin_of
from reuse_proxy.config.address import Address
from reuse_proxy.errors import SettingsError

SUMMARY: Final = "ask a running proxy whether it lives, or is ready"
TIMEOUT_S: Final = 2.0
_UNHEALTHY: Final = 1
_MAX_ANSWER: Final = 300


def main(argv: Sequence[str]) -> int:
    """Run the command without the program's other commands."""
    parser = argparse.ArgumentParser(
        prog="reuse-proxy health", description=SUMMARY, allow_abbrev=False
    )
    add_arguments(parser)
    try:
        return _run(parser.parse_args(argv))
    except SettingsError as exc:
        sys.stderr.write(f"reuse-proxy: {exc}\n")
        return exc.exit_code


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags, and set `run` for the command."""
    add_admin(parser)
    parser.add_argument(
        "--ready",
        action="store_true",
        help="ask whether it takes requests, which it does not while it stops",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    return run(admin_of(arguments), ready=arguments.ready)


def run(address: Address, *, ready: bool = False) -> int:
    """Print what the proxy says; return 0 when all is well, else 1."""
    try:
        status, answer = _ask(address, "/readyz" if ready else "/healthz")
    except (OSError, http.client.HTTPException) as exc:
        status, answer = 0, _reason(exc)
    answer = _printable(answer)
    if status == http.client.OK:
        print(answer)  # noqa: T201
        return 0
    sys.stderr.write(f"reuse-proxy: {address}: {status or 'no answer'}: {answer}\n")
    return _UNHEALTHY


def _ask(address: Address, path: str) -> tuple[int, str]:
    """Send a request past any proxy of the environment; return status and body."""
    # A loopback peer has to name loopback: see the admin listener's check of Host.
    connection = http.client.HTTPConnection("localhost")
    connection.sock = _connected(address)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read(_MAX_ANSWER).decode("ascii", "replace")
    finally:
        connection.close()


def _connected(address: Address) -> socket.socket:
    if address.path is not None:
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(TIMEOUT_S)
        peer.connect(address.path)
        return peer
    where = (address.host, address.port)
    try:
        # From loopback also to this machine's other addresses: whatever `allow_admin`
        # says, it may ask.
        loopback = "::1" if ":" in address.host else "127.0.0.1"
        return socket.create_connection(where, TIMEOUT_S, source_address=(loopback, 0))
    except TimeoutError:
        raise
    except OSError:  # of another machine, after all
        return socket.create_connection(where, TIMEOUT_S)


def _printable(answer: str) -> str:
    """Make one line of it, without what would steer a terminal."""
    words = " ".join(answer.split())
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__
