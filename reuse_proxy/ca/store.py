"""The authority on disk: made once per install, and refused if it may have leaked.

A key and its certificate lie in two files of a private folder. Whatever is wrong with
them is a SettingsError with the path and what to do about it.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from reuse_proxy.ca import files, names
from reuse_proxy.ca.scope import Scope, constraints
from reuse_proxy.errors import SettingsError

CERTIFICATE_FILE: Final = "ca.pem"
KEY_FILE: Final = "ca-key.pem"
COMMON_NAME: Final = "reuse-proxy local CA"

MAX_DAYS: Final = 365
# For clients whose clock is behind ours.
BACK_DATED: Final = timedelta(hours=1)
# Both ends belong to a certificate's time (RFC 5280 section 4.1.2.5).
INCLUSIVE: Final = timedelta(seconds=1)

E = TypeVar("E", bound=x509.ExtensionType)
SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_MIN_RSA_BITS: Final = 2048
_MAX_LIFE: Final = timedelta(days=366)  # of a CA for every host, by whomever
# What cryptography raises for bytes that it cannot read.
_UNREADABLE: Final = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that may sign others, and its private key."""

    certificate: x509.Certificate
    key: SigningKey

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate, as AA:BB:..."""
        return self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()

    @property
    def expires_at(self) -> datetime:
        """The last moment of the certificate, in UTC."""
        return self.certificate.not_valid_after_utc

    @property
    def scope(self) -> Scope:
        """What it may sign for."""
        return _scope(self.certificate)

    @property
    def pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_kind(self) -> str:
        """The kind of the key and its size, in words."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return f"RSA {self.key.key_size}"
        curve = self.key.curve.name
        return f"ECDSA {'P-256' if curve == 'secp256r1' else curve}"

    def __repr__(self) -> str:
        subject = self.certificate.subject.rfc4514_string()
        return f"<Authority {subject}, valid until {self.expires_at:%Y-%m-%d}>"


def create(
    folder: Path,
    *,
    days: int = MAX_DAYS,
    permit: Sequence[str] = (),
    replace: bool = False,
    now: datetime | None = None,
) -> Authority:
    """Make a new authority in a folder and return it.

    Args:
        folder: where the files go; made if need be.
        days: how long it is valid, from 1 to 365.
        permit: the names (with all below them) and IP networks it may sign for.
        replace: whether an authority that is there may be given up.
        now: an aware time; the default is the clock's.

    Raises:
        SettingsError: an argument or the folder cannot be used.
    """
    if not 1 <= days <= MAX_DAYS:
        raise SettingsError(f"--days {days} is not between 1 and {MAX_DAYS}.")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(key, days, now or datetime.now(UTC))
    if permit:
        builder = builder.add_extension(_constraints(permit), critical=True)
    authority = Authority(builder.sign(key, hashes.SHA256()), key)
    files.make_private_folder(folder)
    pair = {
        folder / KEY_FILE: (_key_pem(key), 0o600),
        folder / CERTIFICATE_FILE: (authority.pem, 0o644),
    }
    (files.replace_all if replace else files.write_all_new)(pair)
    return authority


def load(
    folder: Path, *, now: datetime | None = None, any_time: bool = False
) -> Authority:
    """Return the authority of a folder.

    Args:
        folder: where `create` has put it.
        now: an aware time; the default is the clock's.
        any_time: whether one will do that is expired or not valid yet, to show it.

    Raises:
        SettingsError: it is missing, may have leaked, or cannot sign.
    """
    files.check_private_folder(folder)
    path = folder / CERTIFICATE_FILE
    key = _read_key(folder / KEY_FILE)
    certificate = _read_certificate(path)
    if not _may_sign(certificate):
        raise SettingsError(
            f"{path} is not the certificate of a CA; {files.renew(path.parent)}"
        )
    if certificate.public_key() != key.public_key():
        raise SettingsError(
            f"{path} belongs to another key than {KEY_FILE} beside it; {files.renew(path.parent)}"
        )
    _check_life(path, certificate)
    if not any_time:
        _check_time(path, certificate, now or datetime.now(UTC))
    return Authority(certificate, key)


def scope_of(folder: Path) -> Scope:
    """Return what a folder's certificate may sign for, usable or not."""
    try:
        return _scope(_read_certificate(folder / CERTIFICATE_FILE))
    except SettingsError:
        return Scope()


def _builder(
    key: ec.EllipticCurvePrivateKey, days: int, now: datetime
) -> x509.CertificateBuilder:
    start = now - BACK_DATED
    longest = start + timedelta(days=MAX_DAYS) - INCLUSIVE
    # Says nothing of the machine or its user: clients and origins may see it.
    common_name = f"{COMMON_NAME} ({secrets.token_hex(4)})"
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=start,
        not_valid_after=min(now + timedelta(days=days), longest),
    )
    subject_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        .add_extension(usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(subject_key, critical=False)
    )


def usage(
    *,
    digital_signature: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    """Return what a key is for; all that is not named is not allowed."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _constraints(permit: Sequence[str]) -> x509.NameConstraints:
    permits = []
    for entry in permit:
        try:
            permits.append(names.parse_permit(entry))
        except ValueError as exc:
            raise SettingsError(f"--permit {entry} cannot be used: {exc}.") from exc
    return constraints(permits)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _read_key(path: Path) -> SigningKey:
    try:
        key = serialization.load_pem_private_key(files.read_private(path), None)
    except TypeError:
        raise SettingsError(
            f"{path} is encrypted, and nobody is asked for its password; {files.renew(path.parent)}"
        ) from None
    except _UNREADABLE:
        raise SettingsError(
            f"{path} holds no private key; {files.renew(path.parent)}"
        ) from None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _MIN_RSA_BITS:
        return key
    raise SettingsError(
        f"{path} is no ECDSA key and no RSA key of {_MIN_RSA_BITS} bits; {files.renew(path.parent)}"
    )


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(files.read(path))
        # Read now, because they are only parsed when somebody asks.
        len(certificate.extensions)
        certificate.public_key()
    except _UNREADABLE:
        raise SettingsError(
            f"{path} holds no certificate; {files.renew(path.parent)}"
        ) from None
    return certificate


def _may_sign(certificate: x509.Certificate) -> bool:
    basic = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    return basic is not None and basic.ca and (usage is None or usage.key_cert_sign)


def _scope(certificate: x509.Certificate) -> Scope:
    return Scope.of(_extension(certificate, x509.NameConstraints))


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _check_life(path: Path, certificate: x509.Certificate) -> None:
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    if life > _MAX_LIFE and not _scope(certificate).permitted:
        raise SettingsError(
            f"{path} is valid for {life.days} days and for every host; without name "
            f"constraints at most {_MAX_LIFE.days} are allowed. Give it some, or a "
            f"shorter life, or {files.renew(path.parent)}"
        )


def _check_time(path: Path, certificate: x509.Certificate, now: datetime) -> None:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > end:
        raise SettingsError(
            f"{path} has expired on {end:%Y-%m-%d}; {files.renew(path.parent)}"
        )
    if now < start:
        raise SettingsError(
            f"{path} is valid from {start:%Y-%m-%d %H:%M} UTC on only; "
            f"set the clock right, or {files.renew(path.parent)}"
        )
