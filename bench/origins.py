"""An nginx origin with TLS: files by size, many ports, its own count of accepts.

The TLS ports have a certificate for NAME from an authority made for this run, which
clients and proxies are told to trust.  Each port is an origin of its own to a proxy:
what it has pooled for one does not serve another.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from measure import Origin
from peers import LOOPBACK, program, room, running, version
from peers_config import NGINX
from ports import free_ports

# Loopback, but in a spelling that Go's ProxyFromEnvironment does not exempt.
NAME = "LOCALHOST"
KIB, MIB = 1024, 1024 * 1024
SIZES = {"1 KiB": KIB, "1 MiB": MIB, "8 MiB": 8 * MIB}
_VALID = timedelta(days=1)

_CONFIG = (
    NGINX
    + """\
  # 1.2 would need a round trip more, and flatter what saves handshakes.
  ssl_protocols TLSv1.3;
  ssl_certificate {folder}/origin.pem;
  ssl_certificate_key {folder}/origin.key;
  server {{
{listen}
    root {folder};
    # A POST gets the file, too.
    error_page 405 =200 $uri;
    location = /status {{ stub_status; }}
    location = /small {{ return 200 "twelve bytes"; }}
  }}
}}
"""
)


@dataclass(frozen=True)
class Site:
    """A running origin; ``origin`` asks nginx how many connections it accepted."""

    origin: Origin
    http_ports: list[int]
    https_ports: list[int]
    authority: Path

    def port(self, scheme: str, number: int = 0) -> int:
        """Return one of its ports."""
        return (self.https_ports if scheme == "https" else self.http_ports)[number]


@contextlib.contextmanager
def site(folder: Path, ports: int = 1, tls_ports: int = 1) -> Iterator[Site]:
    """Run the origin on so many ports of loopback, and so many more with TLS."""
    path, folder = program("nginx"), room(folder, "site")
    for size in SIZES.values():
        with (folder / str(size)).open("wb") as file:
            file.truncate(size)
    authority = make_certificates(folder)
    free = free_ports(ports + tls_ports)
    plain, tls = free[:ports], free[ports:]
    listen = [f"    listen {LOOPBACK}:{port} backlog=4096;" for port in plain]
    listen += [f"    listen {LOOPBACK}:{port} ssl backlog=4096;" for port in tls]
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, listen="\n".join(listen)))
    number = version(path, "-v")
    arguments = [path, "-c", str(config), "-e", str(folder / "nginx.log")]
    with running("nginx", number, plain[0], arguments, folder) as server:
        yield Site(Origin(server), plain, tls, authority)


def url(scheme: str, port: int, size: str) -> str:
    """Return the address of a file of one of SIZES."""
    return f"{scheme}://{NAME}:{port}/{SIZES[size]}"


def make_certificates(folder: Path) -> Path:
    """Write an authority, and a certificate of it for NAME; return the authority."""
    signer, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer, subject = _name("benchmark authority"), _name("benchmark origin")
    root = (
        _certificate(issuer, issuer, signer.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(signer.public_key()),
            critical=False,
        )
        .sign(signer, hashes.SHA256())
    )
    leaf = (
        _certificate(subject, issuer, key.public_key())
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(NAME.lower())]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
        .sign(signer, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "origin.pem").write_bytes(leaf.public_bytes(pem))
    (folder / "origin.key").write_bytes(
        key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    authority = folder / "authority.pem"
    authority.write_bytes(root.public_bytes(pem))
    return authority


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _VALID)
        .not_valid_after(now + _VALID)
    )
