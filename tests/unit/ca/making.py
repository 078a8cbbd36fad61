"""Keys and certificates that are not ours, and looks at a folder."""

import stat
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
DAY = timedelta(days=1)
IS_CA = x509.BasicConstraints(ca=True, path_length=None)


def pem_of(key, password=None):
    """Write a private key as PEM, encrypted if there is a password."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption(),
    )


def self_signed(key, *extensions, life=2 * DAY):
    """Return a certificate of a key as PEM, valid for its life from a day before NOW."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "other")])
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), 1, NOW - DAY, NOW - DAY + life
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)


def mode_of(path):
    """Return the permission bits of a path."""
    return stat.S_IMODE(path.stat().st_mode)


def listing(folder):
    """Return the names in a folder, in order."""
    return sorted(path.name for path in folder.iterdir())
