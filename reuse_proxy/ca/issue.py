"""Sign a leaf: a certificate for one host, short-lived, in memory only."""

from datetime import UTC, datetime, timedelta
from shlex import quote
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from reuse_proxy.ca import names
from reuse_proxy.ca.scope import covers
from reuse_proxy.ca.store import BACK_DATED, INCLUSIVE, Authority, usage
from reuse_proxy.errors import ProxyError, RequestError

MAX_LIFE: Final = timedelta(days=7)

_REPLACE: Final = "reuse-proxy ca init --replace"
# A client reads it, who need not know the path; pasted as it is, a shell refuses it.
_FOLDER: Final = "--ca-dir <its folder>"
_SHOWN: Final = 80  # of a host in a sentence; it may be as long as a request's head


class LeafError(RequestError):
    """A host cannot stand in a certificate."""


class IssuerError(ProxyError):
    """The authority may not sign for a host, now or ever."""

    error = "proxy_configuration_error"


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new key for leaves, of the kind that every client takes."""
    return ec.generate_private_key(ec.SECP256R1())


def issue(
    authority: Authority,
    host: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    now: datetime | None = None,
) -> bytes:
    """Return the certificate of a host as PEM.

    Args:
        authority: who signs.
        host: an ASCII name, or an IP address without brackets.
        key: the leaf's own key.
        now: an aware time; the default is the clock's.

    Raises:
        LeafError: the host cannot stand in a certificate.
        IssuerError: the authority has expired or may not sign for the host.
    """
    moment = now or datetime.now(UTC)
    name = _checked_host(host)
    _check_authority(authority, name, moment)
    leaf = _builder(authority, name, key.public_key(), moment)
    certificate = leaf.sign(authority.key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM)


def _checked_host(host: str) -> names.Host:
    try:
        return names.parse_host(host)
    except ValueError as exc:
        shown = ascii(host[:_SHOWN])
        raise LeafError(f"No certificate can name the host {shown}: {exc}.") from exc


def _check_authority(authority: Authority, name: names.Host, now: datetime) -> None:
    if now >= authority.expires_at:
        raise IssuerError(
            f"The local CA has expired on {authority.expires_at:%Y-%m-%d}; "
            f"restart the proxy after: {_REPLACE} {_FOLDER}"
        )
    scope = authority.scope
    if scope.permitted and not covers(scope.permitted, name):
        permits = " ".join(
            f"--permit {quote(each)}" for each in (str(name), *scope.permitted)
        )
        raise IssuerError(
            f"The local CA may sign for {', '.join(scope.permitted)} only, not for {name}; "
            f"to change that, restart the proxy after: {_REPLACE} {permits} {_FOLDER}"
        )
    if covers(scope.excluded, name):
        raise IssuerError(
            f"The local CA may sign for {scope}, "
            f"and {name} is among what its certificate excludes; take {name} out of "
            f"intercept, or restart the proxy with another CA."
        )


def _builder(
    authority: Authority,
    name: names.Host,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
) -> x509.CertificateBuilder:
    issuer = authority.certificate
    start = max(now - BACK_DATED, issuer.not_valid_before_utc)
    alternative = x509.SubjectAlternativeName([names.alternative_name(name)])
    server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    builder = x509.CertificateBuilder(
        issuer_name=issuer.subject,
        subject_name=x509.Name([]),
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=start,
        not_valid_after=min(start + MAX_LIFE - INCLUSIVE, authority.expires_at),
    )
    return (
        # Critical, because there is no subject (RFC 5280 section 4.2.1.6).
        builder.add_extension(alternative, critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(digital_signature=True), critical=True)
        .add_extension(server, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_issuer_key(issuer), critical=False)
    )


def _issuer_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    # What the issuer calls its key, which need not be the hash that we would take.
    try:
        named = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        key = issuer.public_key()
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)  # type: ignore[arg-type]  # an EC or RSA key
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(named.value)
