"""Asking a running proxy: the address of its admin listener, and one request to it.

Only the standard library: `health` is run every few seconds.
"""

import argparse
import http.client
import json
import os
import socket
from typing import Final

from reuse_proxy.config.address import Address
from reuse_proxy.errors import SettingsError

DEFAULT_ADMIN: Final = "127.0.0.1:4129"
SCHEME: Final = "http://"
UNANSWERED: Final = (OSError, http.client.HTTPException)
_MAX_ANSWER: Final = 64 * 1024
_VARIABLE: Final = "REUSE_PROXY_ADMIN"
# A listener on all addresses is asked by loopback, which is what it wants to be called.
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound


def add_admin(parser: argparse.ArgumentParser) -> None:
    """Declare the flag that names the listener."""
    parser.add_argument(
        "--admin",
        metavar="URL",
        help="admin listener of the proxy: http://host:port, host:port, [v6]:port or"
        f" unix:PATH (default: {_VARIABLE}, or {DEFAULT_ADMIN})",
    )


def admin_of(arguments: argparse.Namespace) -> Address:
    """Return the listener that the flag names, or else the environment.

    Raises:
        SettingsError: what they name is no address.
    """
    if arguments.admin is not None:
        return address(arguments.admin, "--admin")
    return address(os.environ.get(_VARIABLE) or DEFAULT_ADMIN, _VARIABLE)


def address(text: str, source: str) -> Address:
    """Read an address, given as the setting of that name or as the URL of its root.

    Raises:
        SettingsError: it is none; the sentence tells the source.
    """
    plain = text.strip()
    if plain.lower().startswith(SCHEME):
        plain = plain[len(SCHEME) :].removesuffix("/")
    try:
        parsed = Address.parse(plain)
    except ValueError as exc:
        raise SettingsError(
            f"admin = {json.dumps(text)} (from {source}) {exc};"
            " give host:port, [v6]:port, unix:PATH or the URL http://host:port."
        ) from None
    return Address(
        _ANY.get(parsed.host, parsed.host), port=parsed.port, path=parsed.path
    )


def ask(
    address: Address, path: str, *, seconds: float, method: str = "GET"
) -> tuple[int, str]:
    """Send a request past any proxy of the environment; return status and body.

    Raises:
        UNANSWERED: nobody answers, or not in HTTP.
    """
    # A loopback peer has to name loopback: see the admin listener's check of Host.
    connection = http.client.HTTPConnection("localhost")
    connection.sock = _connected(address, seconds)
    try:
        connection.request(method, path, headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read(_MAX_ANSWER).decode("ascii", "replace")
    finally:
        connection.close()


def _connected(address: Address, seconds: float) -> socket.socket:
    if address.path is not None:
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(seconds)
        peer.connect(address.path)
        return peer
    where = (address.host, address.port)
    try:
        # From loopback also to this machine's other addresses: whatever `allow_admin`
        # says, it may ask.
        loopback = "::1" if ":" in address.host else "127.0.0.1"
        return socket.create_connection(where, seconds, source_address=(loopback, 0))
    except TimeoutError:
        raise
    except OSError:  # of another machine, after all
        return socket.create_connection(where, seconds)


def printable(answer: str) -> str:
    """Make one line of it, without what would steer a terminal."""
    words = " ".join(answer.split())
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def reason_of(error: Exception) -> str:
    """Say why nobody answers."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__
