"""`reuse-proxy report`: fetch the report of a running proxy and print it.

Whatever answers there is told in one sentence if it is no report.  Every command line
imports this module for its arguments, so what it needs is imported when it runs.
"""

import argparse
import asyncio
import errno
import json
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import (
    TYPE_CHECKING,
    Final,
    NoReturn,
    TextIO,
    TypeGuard,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from reuse_proxy import program
from reuse_proxy.commands.asking import SCHEME, add_admin, admin_of
from reuse_proxy.config.address import Address
from reuse_proxy.errors import SettingsError
from reuse_proxy.report.document import VERSION, Report

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

MAX_BYTES: Final = 64 * 1024 * 1024
TIMEOUT_S: Final = 10.0
_PATH: Final = "/api/v1/report"
_MAX_REASON: Final = 300
_MAX_NUMBER: Final = 2**63

Write = Callable[[Report, TextIO], None]

# ruff: noqa: PLC0415  # see the docstring


def write_text(report: Report, out: TextIO) -> None:
    """Print for people."""
    from reuse_proxy.report import text

    text.write(report, out)


def write_markdown(report: Report, out: TextIO) -> None:
    """Print for a pull request."""
    from reuse_proxy.report.markdown import markdown
    from reuse_proxy.report.text import writable

    out.write(writable(markdown(report), out))


def write_json(report: Report, out: TextIO) -> None:
    """Print the document as it was served, with what newer versions add to it."""
    try:
        out.write(f"{json.dumps(report, indent=2)}\n")
    except RecursionError:  # reading goes deeper than writing
        raise SettingsError("The report is nested too deeply to be printed.") from None


def run(
    address: Address, *, write: Write = write_text, out: TextIO | None = None
) -> int:
    """Print the report of the proxy whose admin listener is at an address.

    Args:
        address: where.
        write: how to print.
        out: where to print; the default is standard output.

    Raises:
        SettingsError: there is no report, for the reason that it says.
    """
    with asyncio.Runner() as runner:
        body = runner.run(_fetch(address))
    write(_read(body, address), sys.stdout if out is None else out)
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags, and set `run` for the command."""
    add_admin(parser)
    forms = parser.add_mutually_exclusive_group()
    for flag, write, summary in (
        ("--json", write_json, "print the document itself"),
        ("--markdown", write_markdown, "print Markdown, for a pull request"),
    ):
        forms.add_argument(
            flag, dest="write", action="store_const", const=write, help=summary
        )
    parser.set_defaults(run=_run, write=write_text)


def _run(arguments: argparse.Namespace) -> int:
    return run(admin_of(arguments), write=arguments.write)


# Asking...


async def _fetch(address: Address) -> bytes:
    """Return the body of the report; every failure becomes a sentence."""
    import aiohttp

    host = "localhost" if address.path else str(address)
    try:
        async with asyncio.timeout(TIMEOUT_S), _session(address) as session:
            url = f"{SCHEME}{host}{_PATH}"
            async with session.get(url, allow_redirects=False) as response:
                return await _body(response, address)
    except TimeoutError:
        raise _silent(address, f"no answer within {TIMEOUT_S:.0f} seconds") from None
    except aiohttp.ClientConnectorError as exc:
        raise _silent(address, _reason(exc.os_error)) from None
    except (aiohttp.ClientError, OSError):
        raise _foreign(address, "its answer is not HTTP, or not whole") from None
    except ValueError:  # from what resolves names
        raise _silent(address, "that is no name of a host") from None


def _session(address: Address) -> "ClientSession":
    """Open a session that no proxy of the environment comes between."""
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(address.path) if address.path else None,
        trust_env=False,
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
    )


async def _body(response: "ClientResponse", address: Address) -> bytes:
    if response.status == 403:
        raise _refused(address, await response.content.read(_MAX_REASON))
    if response.status != 200:
        raise _foreign(address, f"it answers {response.status}")
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BYTES:
            raise _foreign(address, f"its answer exceeds {MAX_BYTES >> 20} MiB")
    return bytes(body)


# Understanding...


def _read(body: bytes, address: Address) -> Report:
    try:
        document: object = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise _foreign(address, "its answer is not JSON") from None
    version = document.get("version") if isinstance(document, dict) else None
    if isinstance(version, int) and version != VERSION:
        raise SettingsError(
            f"The proxy at {address} serves version {version} of the report, and this"
            f" program reads version {VERSION}; use the reuse-proxy that runs there."
        )
    if not _is_report(document):
        raise _foreign(address, "its answer is not a report")
    return document


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _is_report(document: object) -> TypeGuard[Report]:
    return _fits(document, Report)


def _fits(value: object, kind: object) -> bool:
    """Tell whether a value has a type, of the kinds that `document` is made of."""
    if is_typeddict(kind):
        return isinstance(value, dict) and all(
            name in value and _fits(value[name], part)
            for name, part in _fields(kind).items()
        )
    parts, origin = get_args(kind), get_origin(kind)
    if origin is list:
        return isinstance(value, list) and all(_fits(item, parts[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            _fits(item, parts[1]) for item in value.values()
        )
    if parts:
        return any(_fits(value, part) for part in parts)
    return _fits_plain(value, kind)


def _fits_plain(value: object, kind: object) -> bool:
    if kind not in (int, float):
        return isinstance(kind, type) and isinstance(value, kind)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    # Beyond this there are numbers that cannot be printed.
    return -_MAX_NUMBER < value < _MAX_NUMBER and (
        kind is float or isinstance(value, int)
    )


@cache
def _fields(kind: object) -> dict[str, object]:
    return get_type_hints(kind)


# Failing...


def _silent(address: Address, reason: str) -> SettingsError:
    return SettingsError(
        f"No report from {address}: {reason}; start a proxy with"
        f" {program.command()} serve, or name its admin listener with --admin."
    )


def _refused(address: Address, answer: bytes) -> SettingsError:
    from reuse_proxy.report.words import clean

    said = clean(" ".join(answer.decode("utf-8", "replace").split()))
    return SettingsError(f"{address} refuses to report: {said or '403'}")


def _foreign(address: Address, reason: str) -> SettingsError:
    return SettingsError(
        f"{address} is no admin listener of reuse-proxy, or one of an older version:"
        f" {reason}; name another with --admin."
    )


def _reason(error: OSError) -> str:
    # asyncio has sentences of its own instead, which repeat the address.
    if error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno).lower()
    return error.strerror or str(error)
