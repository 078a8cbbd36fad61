"""`reuse-proxy ca`: make the local CA, show it, and tell clients how to trust it.

Every command line imports this module for its arguments, so the CA itself, and with it
cryptography, is imported when one of the commands runs.
"""

import argparse
import contextlib
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, TextIO

from reuse_proxy import program
from reuse_proxy.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reuse_proxy.ca.store import Authority

DEFAULT_FOLDER = "~/.local/share/reuse-proxy/ca"
BUNDLE_FILE = "bundle.pem"
_FOLDER_VARIABLE = "REUSE_PROXY_CA_DIR"
_KEPT = "\nIt keeps the names of the old CA; to drop them, delete its folder first.\n"
_RESTART = "\nA proxy that is running keeps the old CA until it is restarted.\n"
_DEFAULT_DAYS = 365
_USAGE_ERROR = 2

# ruff: noqa: PLC0415  # see the docstring


def init(
    folder: Path,
    *,
    days: int = _DEFAULT_DAYS,
    permit: "Sequence[str]" = (),
    replace: bool = False,
    out: TextIO | None = None,
) -> int:
    """Make an authority, print what it is and what to do next.

    Args:
        folder: where it goes; made if need be.
        days: how long it is valid, from 1 to 365.
        permit: the names and networks that it may sign for; none means those of the
            authority that is replaced, or all.
        replace: whether an authority that is there may be given up.
        out: where to print; the default is standard output.

    Raises:
        SettingsError: an argument or the folder cannot be used.
    """
    from reuse_proxy.ca import store

    kept = _kept_names(folder) if replace and not permit else ()
    authority = store.create(folder, days=days, permit=permit or kept, replace=replace)
    stream = sys.stdout if out is None else out
    stream.write("Made a CA that no other installation knows.\n\n")
    _write_facts(authority, folder, stream)
    if replace:
        stream.write(_KEPT if kept else "")
        stream.write(_RESTART)
    stream.write(
        "\nNext, make a bundle for clients, and see how each of them takes it:\n"
        f"  {_bundle_command(folder)}\n"
        f"  {program.command()} ca show{_option(folder)}\n"
    )
    return 0


def show(folder: Path, out: TextIO | None = None) -> int:
    """Print the authority of a folder, expired or not, and how clients trust it.

    Raises:
        SettingsError: it is missing, may have leaked, or cannot sign.
    """
    from reuse_proxy.ca import store, trust

    authority = store.load(folder, any_time=True)
    stream = sys.stdout if out is None else out
    _write_facts(authority, folder, stream)
    stream.write(
        "\n# The bundle holds this CA and the system's roots. Make it first, and again\n"
        "# after each `ca init --replace`.\n"
        "# Other users cannot read it there; for theirs: --output /usr/local/share/ca.pem\n"
        f"{_bundle_command(folder)}\n"
    )
    where = folder.absolute()
    for entry in trust.instructions(
        where / store.CERTIFICATE_FILE, where / BUNDLE_FILE
    ):
        others = "instead of" if entry.replaces else "besides"
        stream.write(f"\n# {entry.client}: {others} its own roots\n")
        stream.writelines(f"{line}\n" for line in entry.lines)
    return 0


def bundle(
    folder: Path,
    *,
    output: Path | None = None,
    roots: Path | None = None,
    out: TextIO | None = None,
) -> int:
    """Print the authority and the system's roots as one PEM, or write them to a file.

    Args:
        folder: where the authority is.
        output: the file to write, readable by all, replaced at once; or a pipe.
        roots: a PEM file to take instead of the system's roots.
        out: where to print without `output`; the default is standard output.

    Raises:
        SettingsError: the authority, the roots or the file cannot be used.
    """
    from reuse_proxy.ca import files, store, trust

    pem = trust.bundle(store.load(folder).pem, trust.system_roots(roots))
    if output is None:
        (sys.stdout if out is None else out).write(pem.decode("ascii"))
        return 0
    files.put(output, pem, 0o644)
    sys.stderr.write(
        f"reuse-proxy: wrote {trust.count(pem)} certificates to {output}\n"
    )
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `init`, `show` and `bundle`, each of which sets `run` for its command."""

    def no_command(_: argparse.Namespace) -> int:
        parser.print_help(sys.stderr)
        return _USAGE_ERROR

    parser.set_defaults(run=no_command)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, summary, run, add_own in (
        ("init", "make the CA", _init, _add_init),
        ("show", "print the CA and how clients trust it", _show, None),
        ("bundle", "print the CA and the system's roots", _bundle, _add_bundle),
    ):
        command = commands.add_parser(
            name, help=summary, description=summary, allow_abbrev=False
        )
        command.add_argument(
            "--ca-dir",
            type=_folder,
            default=os.environ.get(_FOLDER_VARIABLE) or DEFAULT_FOLDER,
            metavar="DIR",
            help=f"folder of the CA (default: {DEFAULT_FOLDER}, or {_FOLDER_VARIABLE})",
        )
        if add_own is not None:
            add_own(command)
        command.set_defaults(run=run)


def _add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--days",
        type=int,
        default=_DEFAULT_DAYS,
        metavar="N",
        help=f"how long it is valid, 1 to 365 (default: {_DEFAULT_DAYS})",
    )
    parser.add_argument(
        "--permit",
        action="append",
        default=[],
        metavar="NAME",
        help="a name, with all below it, or an IP network that it may sign for; "
        "repeat it for more (default: those of the CA that is replaced, or all)",
    )
    parser.add_argument(
        "--replace", action="store_true", help="give up the CA that is there"
    )


def _add_bundle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="write to a file (default: standard output)",
    )
    parser.add_argument(
        "--roots",
        type=Path,
        metavar="FILE",
        help="PEM file of the roots (default: the system's)",
    )


def _init(arguments: argparse.Namespace) -> int:
    return init(
        arguments.ca_dir,
        days=arguments.days,
        permit=arguments.permit,
        replace=arguments.replace,
    )


def _show(arguments: argparse.Namespace) -> int:
    return show(arguments.ca_dir)


def _bundle(arguments: argparse.Namespace) -> int:
    return bundle(arguments.ca_dir, output=arguments.output, roots=arguments.roots)


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        # As in a container that runs as a user without an entry in passwd.
        raise argparse.ArgumentTypeError(
            f"{text} needs a home folder, and this user has none"
        ) from None


def _kept_names(folder: Path) -> tuple[str, ...]:
    from reuse_proxy.ca import store

    scope = store.scope_of(folder)
    if scope.exceptions:
        raise SettingsError(
            f"The CA that is there excludes {', '.join(scope.exceptions)}, which a new one cannot; "
            f"say with --permit what it may sign for, or delete its folder first."
        )
    return scope.permitted


def _write_facts(authority: "Authority", folder: Path, stream: TextIO) -> None:
    from reuse_proxy.ca.store import CERTIFICATE_FILE, KEY_FILE

    rows = (
        ("subject", authority.certificate.subject.rfc4514_string()),
        ("fingerprint", f"SHA-256 {authority.fingerprint}"),
        ("valid until", _validity(authority, folder, datetime.now(UTC))),
        ("key", authority.key_kind),
        ("signs for", str(authority.scope)),
        ("certificate", str(folder.absolute() / CERTIFICATE_FILE)),
        ("private key", f"{folder.absolute() / KEY_FILE} (give it to nobody)"),
    )
    stream.writelines(f"{name:<11}  {value}\n" for name, value in rows)


def _validity(authority: "Authority", folder: Path, now: datetime) -> str:
    from reuse_proxy.ca.files import renew

    end = authority.expires_at
    text = f"{end:%Y-%m-%d %H:%M} UTC"
    if now > end:
        return f"{text}, EXPIRED; {renew(folder)}"
    if now < authority.certificate.not_valid_before_utc:
        return f"{text}, NOT VALID YET; set the clock right"
    return f"{text} ({(end - now).days} days left)"


def _bundle_command(folder: Path) -> str:
    target = quote(str(folder.absolute() / BUNDLE_FILE))
    return f"{program.command()} ca bundle{_option(folder)} --output {target}"


def _option(folder: Path) -> str:
    with contextlib.suppress(RuntimeError):  # there is no home folder
        usual = Path(DEFAULT_FOLDER).expanduser()
        if folder == usual and not os.environ.get(_FOLDER_VARIABLE):
            return ""
    return f" --ca-dir {quote(str(folder.absolute()))}"
