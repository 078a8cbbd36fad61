"""How clients come to trust the authority: a bundle for them, and what to type.

Most variables *replace* the roots that a client knows, so they need a bundle of the
authority and the system's roots; only Node's adds to them.
"""

import base64
import binascii
import re
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final

from reuse_proxy.ca.store import COMMON_NAME
from reuse_proxy.errors import SettingsError

# Debian and its kin, Fedora and its kin, SUSE, Alpine and macOS.
WELL_KNOWN: Final = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/ca-bundle.pem"),
    Path("/etc/ssl/cert.pem"),
)

_BLOCK: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----"
)

_JAVA_HOME: Final = (
    "java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.home = //p'"
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """What one client needs in order to trust the authority.

    Args:
        client: whom it is for.
        lines: what to type in a shell.
        replaces: whether the client then knows no other roots than those named.
    """

    client: str
    lines: tuple[str, ...]
    replaces: bool


def bundle(authority_pem: bytes, roots: bytes) -> bytes:
    """Return one PEM of the authority and the roots, without our former authorities.

    The roots may be a bundle that was made here: what `ca init --replace` has given up
    must not stay trusted for ever.
    """
    mark = COMMON_NAME.encode()
    kept = [block for block, der in _certificates(roots) if mark not in der]
    ours = [block for block, _ in _certificates(authority_pem)]
    return b"".join(block + b"\n" for block in dict.fromkeys(ours + kept))


def count(pem: bytes) -> int:
    """Return how many certificates a PEM holds."""
    return sum(1 for _ in _certificates(pem))


def system_roots(
    explicit: Path | None = None, *, well_known: Sequence[Path] = WELL_KNOWN
) -> bytes:
    """Return the roots that this system trusts, as PEM.

    Args:
        explicit: the file to take; otherwise SSL_CERT_FILE or a well-known one.
        well_known: where systems keep theirs; the first that exists counts.

    Raises:
        SettingsError: there are none, or the file cannot be used.
    """
    path = explicit or _found(well_known)
    try:
        roots = path.read_bytes()
    except OSError as exc:
        raise SettingsError(
            f"The roots in {path} cannot be read: {exc.strerror}; "
            f"name a PEM file of them with --roots FILE."
        ) from exc
    if not count(roots):
        raise SettingsError(
            f"{path} holds no certificate in PEM; name a file of roots with "
            f"--roots FILE."
        )
    return roots


def instructions(ca_file: Path, bundle_file: Path) -> tuple[Instruction, ...]:
    """Return what to type for each client, with the paths quoted for a shell."""
    ca, all_roots = quote(str(ca_file)), quote(str(bundle_file))
    return (
        _variable("curl", "CURL_CA_BUNDLE", all_roots),
        _variable("Python requests", "REQUESTS_CA_BUNDLE", all_roots),
        _variable("Python httpx, aiohttp, urllib", "SSL_CERT_FILE", all_roots),
        _variable("pip", "PIP_CERT", all_roots),
        _variable("AWS tools, boto3", "AWS_CA_BUNDLE", all_roots),
        _variable("git", "GIT_SSL_CAINFO", all_roots),
        _variable("Go (on Linux)", "SSL_CERT_FILE", all_roots),
        _variable("Node.js", "NODE_EXTRA_CA_CERTS", ca, replaces=False),
        Instruction("Java", _java(ca, bundle_file), replaces=True),
        Instruction("every program on Debian or Ubuntu", _debian(ca), replaces=False),
    )


def _variable(
    client: str, name: str, value: str, *, replaces: bool = True
) -> Instruction:
    return Instruction(client, (f"export {name}={value}",), replaces)


def _java(ca: str, bundle_file: Path) -> tuple[str, ...]:
    # A trust store replaces Java's own, so it begins as a copy of that; without one,
    # keytool would make a store of our authority alone.
    store = str(bundle_file.with_name("java-truststore"))
    path = quote(store)
    # Java splits the variable at blanks, by quotes like a shell's.
    option = quote(quote(f"-Djavax.net.ssl.trustStore={store}"))
    make = (
        f"JAVA_HOME=${{JAVA_HOME:-$({_JAVA_HOME})}} && "
        f'install -m 600 "$JAVA_HOME/lib/security/cacerts" {path} && '
        f"keytool -importcert -noprompt -alias reuse-proxy -file {ca} "
        f"-keystore {path} -storepass changeit"
    )
    return make, f"export JAVA_TOOL_OPTIONS={option}"


def _debian(ca: str) -> tuple[str, ...]:
    return (
        f"sudo cp {ca} /usr/local/share/ca-certificates/reuse-proxy.crt",
        "sudo update-ca-certificates",
    )


def _found(well_known: Sequence[Path]) -> Path:
    # Python knows of SSL_CERT_FILE and of the place its OpenSSL was built for.
    cafile = ssl.get_default_verify_paths().cafile
    if cafile:
        return Path(cafile)
    for path in well_known:
        if path.is_file():
            return path
    raise SettingsError(
        "This system's roots are in none of the well-known places; name a PEM file of "
        "them with --roots FILE."
    )


def _certificates(pem: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each certificate as its PEM block and as DER."""
    for match in _BLOCK.finditer(pem):
        try:
            der = base64.b64decode(b"".join(match[1].split()), validate=True)
        except binascii.Error:
            continue
        yield match[0].replace(b"\r", b""), der
