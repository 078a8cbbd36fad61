"""Which running proxy a command asks: the address of its admin listener."""

import argparse
import json
import os
from typing import Final

from reuse_proxy.config.address import Address
from reuse_proxy.errors import SettingsError

DEFAULT_ADMIN: Final = "127.0.0.1:4129"
SCHEME: Final = "http://"
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
