"""A CA for one command: made before it, trusted by it alone, gone after it."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reuse_proxy.ca import files, store, trust
from reuse_proxy.child.environment import CA_VARIABLES
from reuse_proxy.errors import SettingsError

_BUNDLE_FILE: Final = "bundle.pem"
_DAYS: Final = 1


@dataclass(frozen=True, slots=True)
class PrivateAuthority:
    """Where the CA is, and the bundle for the command; `warnings` are sentences."""

    folder: Path
    bundle: Path
    warnings: tuple[str, ...]


@contextlib.contextmanager
def private_authority(environ: Mapping[str, str]) -> Iterator[PrivateAuthority]:
    """Make a CA in a folder of its own, and remove it however the block ends.

    The bundle also holds the roots of this system and those that the environment
    names, for what the command asks without the proxy.

    Raises:
        SettingsError: no folder can be made for it.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(
                    prefix="reuse-proxy-run-", ignore_cleanup_errors=True
                )
            )
        except OSError as exc:
            raise SettingsError(
                f"No folder can be made for the CA of --https: {exc.strerror}; "
                f"set TMPDIR to one that can be written to."
            ) from exc
        yield _made(Path(folder), environ)


def _made(folder: Path, environ: Mapping[str, str]) -> PrivateAuthority:
    authority = store.create(folder, days=_DAYS)
    warnings = []
    try:
        roots = trust.system_roots()
    except SettingsError:
        roots = b""
        warnings.append(
            "This system's roots were not found: what the command asks without the"
            " proxy, it cannot verify; name a PEM file of them in SSL_CERT_FILE."
        )
    bundle = folder / _BUNDLE_FILE
    pem = trust.bundle(authority.pem, b"\n".join([roots, *_named(environ)]))
    files.write_new(bundle, pem, 0o644)
    return PrivateAuthority(folder, bundle, tuple(warnings))


def _named(environ: Mapping[str, str]) -> Iterator[bytes]:
    """Yield the roots in the files that the environment names."""
    for path in dict.fromkeys(filter(None, map(environ.get, CA_VARIABLES))):
        # One that cannot be read is of no use to the command either.
        with contextlib.suppress(OSError, ValueError):
            yield Path(path).read_bytes()
