"""`reuse-proxy reload`: have a running proxy read its settings again, and say how it went.

What a signal cannot: a file that is wrong is an exit code, so that `systemctl reload`
and scripts hear of it.
"""

import argparse
import http.client
import json
import sys
from typing import Final

from reuse_proxy import program
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

SUMMARY: Final = "have a running proxy read its settings again"
# It reads files, and asks its workers, if it has any.
TIMEOUT_S: Final = 30.0
# The settings are wrong, or this is not for who asks; the answer says which.
_REFUSALS: Final = (http.client.UNPROCESSABLE_ENTITY, http.client.FORBIDDEN)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags, and set `run` for the command."""
    add_admin(parser)
    parser.set_defaults(run=lambda arguments: run(admin_of(arguments)))


def run(address: Address) -> int:
    """Print what has changed.

    Raises:
        SettingsError: nothing was applied, for the reasons that it says.
    """
    try:
        status, answer = ask(
            address, "/api/v1/reload", seconds=TIMEOUT_S, method="POST"
        )
    except UNANSWERED as exc:
        raise SettingsError(
            f"No proxy was reloaded at {address}: {reason_of(exc)}; start one with"
            f" {program.command()} serve, or name its admin listener with --admin."
        ) from None
    if status in _REFUSALS:
        lines = [printable(line) for line in answer.splitlines() if line.strip()]
        raise SettingsError("\n".join(lines) or f"{address} answers {status}.")
    if status != http.client.OK:
        raise _foreign(address)
    sys.stdout.writelines(f"{line}\n" for line in _told(answer, address))
    return 0


def _told(answer: str, address: Address) -> list[str]:
    try:
        changed = json.loads(answer)["changed"]
        lines = [f"{c['name']} = {c['now']} (was {c['was']})" for c in changed]
    except (ValueError, TypeError, KeyError):
        raise _foreign(address) from None
    return [printable(line) for line in lines] or ["nothing has changed"]


def _foreign(address: Address) -> SettingsError:
    return SettingsError(
        f"{address} is no admin listener of reuse-proxy, or one of another version;"
        " name another with --admin."
    )
