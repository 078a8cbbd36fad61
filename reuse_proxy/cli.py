"""The command line: arguments to one function per command, and no logic.

The flags are made from the fields of `Settings`. Each command's module is imported
when it runs, so that `serve` does not wait for what only others need.
"""

import argparse
import errno
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from reuse_proxy import __version__
from reuse_proxy.commands import ca, health, reload, report, run
from reuse_proxy.config.hostkinds import (
    ClientCertificates,
    Exemptions,
    Hosts,
    TlsRoutes,
)
from reuse_proxy.config.kinds import Addresses, Switch
from reuse_proxy.config.loading import Loaded, load
from reuse_proxy.config.parent import HIDDEN
from reuse_proxy.config.settings import Settings, default_of, kind_of
from reuse_proxy.config.sources import close_match, flag_name
from reuse_proxy.errors import SettingsError

_USAGE_ERROR = 2
# As a shell tells of programs that a signal has ended.
_INTERRUPTED = 130
_BROKEN_PIPE = 141
_FAILURE = 1
# Raised by writing alone, and files of ours have told so as a SettingsError.
_OUTPUT_IS_LOST = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
# Settings whose flag may be given several times.
_LISTS = (Addresses, Hosts, TlsRoutes, ClientCertificates, Exemptions)

# ruff: noqa: PLC0415  # see the docstring


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without a screen of usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(_USAGE_ERROR, f"reuse-proxy: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = build_parser()
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.exit(_USAGE_ERROR, f"reuse-proxy: {_unknown(unknown, arguments)}\n")
    command: Callable[[argparse.Namespace], int] | None = arguments.run
    if command is None:
        parser.print_help(sys.stderr)
        return _USAGE_ERROR
    return _run(command, arguments)


def _run(
    command: Callable[[argparse.Namespace], int], arguments: argparse.Namespace
) -> int:
    try:
        code = command(arguments)
        if sys.stdout is not None:  # it was closed from the start
            sys.stdout.flush()
    except SettingsError as exc:
        for line in str(exc).splitlines():
            sys.stderr.write(f"reuse-proxy: {line}\n")
        code = exc.exit_code
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except OSError as exc:
        if exc.errno not in _OUTPUT_IS_LOST:
            raise
        code = _give_up_output(exc)
    return code


def _give_up_output(exc: OSError) -> int:
    # What is left would be flushed at exit, and fail once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(exc, BrokenPipeError):  # whoever read it has had enough
        return _BROKEN_PIPE
    sys.stderr.write(f"reuse-proxy: the output cannot be written: {exc.strerror}.\n")
    return _FAILURE


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = _Parser(
        prog="reuse-proxy",
        description="A forward proxy that reuses the connections its clients do not.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=f"reuse-proxy {__version__}"
    )
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, summary, start in (
        ("serve", "run the proxy in the foreground", _serve),
        ("check", "print the settings in effect and where each came from", _check),
        ("demo", "show the effect on a leaking client, before and after", _demo),
    ):
        command = commands.add_parser(
            name, help=summary, description=summary, allow_abbrev=False
        )
        command.set_defaults(run=start)
        if start is not _demo:
            _add_settings(command)
        if start is _serve:  # what a supervisor tells a worker; not for people
            command.add_argument("--worker", help=argparse.SUPPRESS)
    for name, summary, add_arguments in (
        ("run", "run one command with a private proxy, and report", run.add_arguments),
        ("report", "print who leaks, and how to fix it", report.add_arguments),
        ("health", health.SUMMARY, health.add_arguments),
        ("reload", reload.SUMMARY, reload.add_arguments),
        ("ca", "make and show the local CA that intercept needs", ca.add_arguments),
    ):
        command = commands.add_parser(
            name, help=summary, description=summary, allow_abbrev=False
        )
        add_arguments(command)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="TOML file of settings (or set REUSE_PROXY_CONFIG)",
    )
    group = parser.add_argument_group(
        "settings", "each also as REUSE_PROXY_<SETTING> or in the file"
    )
    for name, field in Settings.model_fields.items():
        kind = kind_of(name)
        text = f"{field.description} (default: {default_of(name)})".replace("%", "%%")
        flag, unset = flag_name(name), argparse.SUPPRESS
        if isinstance(kind, Switch):
            on_or_off = argparse.BooleanOptionalAction
            group.add_argument(flag, action=on_or_off, default=unset, help=text)
            continue
        action = "append" if isinstance(kind, _LISTS) else "store"
        group.add_argument(
            flag, action=action, default=unset, metavar=kind.metavar, help=text
        )


def _unknown(unknown: Iterable[str], arguments: argparse.Namespace) -> str:
    first = _without_login(next(iter(unknown)))
    if "config" not in arguments:
        return f"unknown argument {first}; the command's --help tells what it takes."
    if not first.startswith("-"):
        return f"unexpected argument {first}; settings are flags, such as --listen."
    known = ["--config", "--help", *map(flag_name, Settings.model_fields)]
    return f"unknown argument {first}; {close_match(first.partition('=')[0], known)}"


def _without_login(argument: str) -> str:
    """Leave out what may be a URL with a password in it."""
    if "@" not in argument:
        return argument
    return argument.partition("=")[0] if argument.startswith("-") else HIDDEN


def _load(arguments: argparse.Namespace) -> Loaded:
    given = vars(arguments)
    flags = {name: given[name] for name in Settings.model_fields if name in given}
    return load(flags, os.environ, arguments.config)


def _serve(arguments: argparse.Namespace) -> int:
    from reuse_proxy.commands import serve

    if arguments.worker is not None:
        return serve.work(arguments.worker)
    return serve.run(lambda: _load(arguments))


def _check(arguments: argparse.Namespace) -> int:
    from reuse_proxy.commands import check

    return check.run(_load(arguments))


def _demo(_: argparse.Namespace) -> int:
    from reuse_proxy.commands import demo

    return demo.run()
