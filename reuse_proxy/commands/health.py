"""`reuse-proxy health`: ask a running proxy whether it lives, for container engines.

They ask every few seconds, also where a container has a tenth of a core: this reads no
settings and needs only the standard library, and `__main__` comes here at once.
"""

import argparse
import http.client
import sys
from collections.abc import Sequence
from typing import Final

from reuse_proxy.commands.asking import (
    UNANSWERED,
    add_admin,
    admin_of,
    ask,
    printable,
    reason_of,
)
from reuse_proxy.config.address import Address
from reuse_proxy.errors import SettingsError

SUMMARY: Final = "ask a running proxy whether it lives, or is ready"
TIMEOUT_S: Final = 2.0
_UNHEALTHY: Final = 1


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
        status, answer = ask(
            address, "/readyz" if ready else "/healthz", seconds=TIMEOUT_S
        )
    except UNANSWERED as exc:
        status, answer = 0, reason_of(exc)
    answer = printable(answer)
    if status == http.client.OK:
        print(answer)  # noqa: T201
        return 0
    sys.stderr.write(f"reuse-proxy: {address}: {status or 'no answer'}: {answer}\n")
    return _UNHEALTHY
