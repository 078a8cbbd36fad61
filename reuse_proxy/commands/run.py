"""`reuse-proxy run`: one command with a private proxy, and a report of what it did.

Every command line imports this module for its arguments, so what runs a proxy is
imported when one is run.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from reuse_proxy.errors import SettingsError

if TYPE_CHECKING:
    from reuse_proxy.child.authority import PrivateAuthority
    from reuse_proxy.child.output import ReportFile
    from reuse_proxy.child.process import Relay
    from reuse_proxy.config.loading import Loaded
    from reuse_proxy.report.document import Report
    from reuse_proxy.service import Service

T = TypeVar("T")

log = logging.getLogger("reuse_proxy")

_LIMIT_BROKEN: Final = 3
# How long clients may still be closing once the command has ended.
_CLOSING_S: Final = 1.0
_POLL_S: Final = 0.01

_OWN: Final[Mapping[str, object]] = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0"}
# Restrictions for proxies that are shared; here they would only break the command.
_UNRESTRICTED: Final[Mapping[str, object]] = {
    "connect_ports": range(1, 65536),
    "deny_destinations": "none",
    "deny_ports": "none",
}

_TRUST_ADVICE: Final = "its runtime may read none of the variables that name the CA"

# ruff: noqa: PLC0415  # see the docstring


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How the command has ended, and what it did until then."""

    exit_code: int
    report: "Report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; what is typed after them is the command."""
    parser.usage = "%(prog)s [options] [--] COMMAND [ARGUMENT ...]"
    parser.set_defaults(run=_run)
    parser.add_argument(
        "--https",
        action="store_true",
        help="open HTTPS too, with a CA that only this command trusts",
    )
    parser.add_argument(
        "--max-upstream",
        type=_read_by(_upstream_limit),
        metavar="N",
        help="exit with 3 if it needs more connections to origins",
    )
    parser.add_argument(
        "--min-reuse",
        type=_read_by(_reuse_share),
        metavar="SHARE",
        help="exit with 3 if fewer of its requests come on a connection that has"
        " carried others; 0.9 or 90%%",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="write the report to a file, too: .json, .md, or plain text",
    )
    parser.add_argument(
        "--config",
        dest="config_file",
        type=Path,
        metavar="FILE",
        help="TOML file of settings (or set REUSE_PROXY_CONFIG)",
    )
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what to run"
    )


def _run(arguments: argparse.Namespace) -> int:
    from reuse_proxy.child.output import ReportFile
    from reuse_proxy.child.process import EndedEarlyError

    command = _command(arguments.command)
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="reuse-proxy: %(message)s"
    )
    with contextlib.ExitStack() as stack:
        # Before anything else is open: FILE may be a descriptor's number.
        file = None if arguments.report is None else ReportFile(arguments.report)
        if file is not None:
            stack.callback(file.close)
        try:
            outcome = _outcome(command, arguments)
        except EndedEarlyError as exc:
            return exc.exit_code
        return _finish(outcome, command, arguments, file)


def _command(words: Sequence[str]) -> list[str]:
    command = list(words[1:] if words[:1] == ["--"] else words)
    if not command:
        raise SettingsError(
            "run needs a command, as in: reuse-proxy run -- curl http://example.com/"
        )
    return command


# The command and its proxy...


def _outcome(command: Sequence[str], arguments: argparse.Namespace) -> _Outcome:
    """Run a command with its proxy; afterwards nothing of either is left."""
    from reuse_proxy.child.authority import private_authority
    from reuse_proxy.child.process import Relay
    from reuse_proxy.commands.serve import loop_factory

    with contextlib.ExitStack() as stack:
        relay = stack.enter_context(Relay())
        authority = None
        if arguments.https:
            authority = stack.enter_context(private_authority(os.environ))
        loaded = _load(arguments.config_file, authority)
        _warn(loaded, authority)
        runner = stack.enter_context(asyncio.Runner(loop_factory=loop_factory()))
        return runner.run(_serve(loaded, relay, command, authority))


def _load(config: Path | None, authority: "PrivateAuthority | None") -> "Loaded":
    from reuse_proxy.config.loading import load
    from reuse_proxy.config.sources import DEFAULT

    sources = load(_OWN, os.environ, config).sources
    flags = {
        name: tuple(value) if isinstance(value, range) else value
        for name, value in _UNRESTRICTED.items()
        if sources[name] == DEFAULT
    }
    if authority is not None:
        flags |= {"intercept": "*", "ca_dir": str(authority.folder)}
    return load({**_OWN, **flags}, os.environ, config)


def _warn(loaded: "Loaded", authority: "PrivateAuthority | None") -> None:
    from reuse_proxy.child.environment import other_proxies

    own = () if authority is None else authority.warnings
    others = () if loaded.settings.parent_proxy else other_proxies(os.environ)
    for warning in (*loaded.warnings, *own, *others):
        log.warning("%s", warning)


async def _serve(
    loaded: "Loaded",
    relay: "Relay",
    command: Sequence[str],
    authority: "PrivateAuthority | None",
) -> _Outcome:
    from reuse_proxy.child.environment import child_environment
    from reuse_proxy.child.process import exit_code
    from reuse_proxy.service import Service

    bundle = None if authority is None else authority.bundle
    async with Service(loaded, trust_advice=_TRUST_ADVICE) as service:
        environment = child_environment(os.environ, proxy=service.url, bundle=bundle)
        process = relay.start(command, environment)
        # In a thread: uvloop keeps SIGCHLD for itself.
        code = exit_code(await asyncio.to_thread(process.wait))
        await _let_clients_close(service)
        return _Outcome(code, service.report())


async def _let_clients_close(service: "Service") -> None:
    """Wait until none is connected; what the command leaves running is cut off."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSING_S):
            while service.server.connections:  # noqa: ASYNC110 - it tells drains only
                await asyncio.sleep(_POLL_S)


# What there is to say...


def _finish(
    outcome: _Outcome,
    command: Sequence[str],
    arguments: argparse.Namespace,
    file: "ReportFile | None",
) -> int:
    """Report, and return the exit code: the command's own, if it has failed."""
    from reuse_proxy.child.gate import Gate

    report = outcome.report
    _print(report)
    for sentence in _no_request(report, command, https=arguments.https):
        log.warning("%s", sentence)
    broken = Gate(arguments.max_upstream, arguments.min_reuse).broken(report)
    for sentence in broken:
        log.error("%s", sentence)
    written = 0 if file is None else _write(report, file)
    return outcome.exit_code or (_LIMIT_BROKEN if broken else written)


def _print(report: "Report") -> None:
    from reuse_proxy.report import text

    try:
        text.write(report, sys.stderr)
        sys.stderr.flush()
    except OSError:
        # Whoever read it has gone; that is no failure of the command's, and what is
        # left would fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _no_request(
    report: "Report", command: Sequence[str], *, https: bool
) -> Iterator[str]:
    from reuse_proxy.child.hints import no_request

    totals = report["totals"]
    if not totals["requests"] and not totals["tunnels"]:
        yield from no_request(
            command, os.environ, connections=totals["client_connections"], https=https
        )


def _write(report: "Report", file: "ReportFile") -> int:
    try:
        file.write(report)
    except SettingsError as exc:
        log.error("%s", exc)  # noqa: TRY400 - the sentence says it all
        return exc.exit_code
    return 0


# Arguments...


def _read_by(read: Callable[[str], T]) -> Callable[[str], T]:
    """Have argparse print what a ValueError says."""

    def reader(text: str) -> T:
        try:
            return read(text)
        except ValueError as exc:
            raise argparse.ArgumentTypeError(str(exc)) from exc

    return reader


def _upstream_limit(text: str) -> int:
    from reuse_proxy.child.gate import upstream_limit

    return upstream_limit(text)


def _reuse_share(text: str) -> Fraction:
    from reuse_proxy.child.gate import reuse_share

    return reuse_share(text)
