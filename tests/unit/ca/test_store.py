"""The authority on disk: what is made, and what is refused."""

import os
import re
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from reuse_proxy.ca.issue import issue, new_key
from reuse_proxy.ca.store import CERTIFICATE_FILE, KEY_FILE, create, load
from reuse_proxy.errors import SettingsError
from tests.unit.ca.making import DAY, IS_CA, NOW, listing, mode_of, pem_of


def test_a_new_authority_is_on_disk_for_its_owner_alone(folder):
    """The key for nobody else, the certificate for all who get into the folder."""
    made = create(folder)

    assert listing(folder) == [KEY_FILE, CERTIFICATE_FILE]
    assert mode_of(folder) == 0o700
    assert mode_of(folder / KEY_FILE) == 0o600
    assert mode_of(folder / CERTIFICATE_FILE) == 0o644
    assert (folder / CERTIFICATE_FILE).read_bytes() == made.pem


def test_what_is_loaded_is_what_was_made(folder):
    """Certificate and key, and all that is read from them."""
    made = create(folder, permit=["example.com", "10.0.0.0/8"])

    loaded = load(folder)

    assert loaded.certificate == made.certificate
    assert loaded.key.private_numbers() == made.key.private_numbers()
    assert loaded.scope.permitted == ("example.com", "10.0.0.0/8")
    assert loaded.key_kind == "ECDSA P-256"


def test_openssl_reads_in_it_what_a_ca_needs(folder, openssl):
    """A CA that signs leaves and no other IS_CA, for the given names only."""
    made = create(folder, permit=["example.com", "10.0.0.0/8"])

    _, text = openssl("x509", "-noout", "-text", "-fingerprint", "-sha256", "-in", made.pem)  # fmt: skip

    flat = re.sub(r"\s+", " ", text)
    assert "ASN1 OID: prime256v1" in flat
    assert "Basic Constraints: critical CA:TRUE, pathlen:0 " in flat
    assert "Key Usage: critical Certificate Sign, CRL Sign " in flat
    assert "Subject Key Identifier: " in flat
    assert (
        "Name Constraints: critical Permitted: DNS:example.com IP:10.0.0.0/255.0.0.0 S"
    ) in flat
    assert f"Fingerprint={made.fingerprint}\n" in text


def test_its_subject_tells_nothing_of_the_machine(folder):
    """Two of one machine have eight digits that tell them apart."""
    first = create(folder).certificate
    second = create(folder, replace=True).certificate

    for certificate in first, second:
        subject = certificate.subject.rfc4514_string()
        assert re.fullmatch(r"CN=reuse-proxy local CA \([0-9a-f]{8}\)", subject)
        assert certificate.issuer == certificate.subject
    assert first.subject != second.subject
    assert first.serial_number != second.serial_number


@pytest.mark.parametrize("days", [1, 30, 364, 365])
def test_it_is_valid_for_its_days_and_a_year_at_most(folder, days):
    """The hour for slow clocks is taken from the year, and both its ends count."""
    made = create(folder, days=days, now=NOW)

    start = made.certificate.not_valid_before_utc
    assert NOW - start == timedelta(hours=1)
    assert made.expires_at + timedelta(seconds=1) - start <= 365 * DAY
    assert timedelta() <= NOW + days * DAY - made.expires_at <= timedelta(seconds=3601)


@pytest.mark.parametrize("days", [0, -1, 366])
def test_other_lives_are_refused_and_nothing_is_made(folder, days):
    """Longer than a year, or none at all."""
    with pytest.raises(SettingsError, match=f"--days {days} is not between 1 and 365"):
        create(folder, days=days)

    assert not folder.exists()


def test_a_wrong_constraint_is_refused_and_nothing_is_made(folder):
    """The sentence names it and says why."""
    with pytest.raises(SettingsError, match=r"--permit \*\.a\.example .* wildcard"):
        create(folder, permit=["b.example", "*.a.example"])

    assert not folder.exists()


@pytest.mark.parametrize("name", [KEY_FILE, CERTIFICATE_FILE])
def test_an_authority_is_not_overwritten_by_chance(folder, name):
    """Not even half of one."""
    create(folder)
    other = ({KEY_FILE, CERTIFICATE_FILE} - {name}).pop()
    (folder / other).unlink()
    before = (folder / name).read_bytes()

    with pytest.raises(SettingsError, match=f"{folder / name} exists already"):
        create(folder)

    assert (folder / name).read_bytes() == before
    assert listing(folder) == [name]


def test_replacing_makes_another_authority(folder):
    """In the same files, with nothing beside them."""
    before = create(folder)

    after = create(folder, replace=True)

    assert load(folder).fingerprint == after.fingerprint != before.fingerprint
    assert mode_of(folder / KEY_FILE) == 0o600
    assert listing(folder) == [KEY_FILE, CERTIFICATE_FILE]


@pytest.mark.parametrize("name", [KEY_FILE, CERTIFICATE_FILE])
def test_half_a_replacement_is_not_used(folder, tmp_path, name):
    """As after a crash between the two files: a key, and a certificate of another."""
    create(folder)
    create(tmp_path / "new")
    (tmp_path / "new" / name).replace(folder / name)

    with pytest.raises(SettingsError, match=r"belongs to another key .* --replace"):
        load(folder)


def test_an_open_folder_is_refused_before_a_key_is_in_it(folder):
    """Making and loading say the same."""
    folder.mkdir(mode=0o755)

    with pytest.raises(SettingsError, match=f"chmod 700 {folder}"):
        create(folder)
    assert listing(folder) == []
    with pytest.raises(SettingsError, match=f"chmod 700 {folder}"):
        load(folder)


@pytest.mark.usefixtures("authority")
def test_an_open_key_is_refused(folder):
    """Someone may have it."""
    (folder / KEY_FILE).chmod(0o640)

    with pytest.raises(SettingsError, match=f"chmod 600 {folder / KEY_FILE}"):
        load(folder)


@pytest.mark.usefixtures("authority")
@pytest.mark.parametrize("name", ["", KEY_FILE])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may chown")
def test_what_belongs_to_another_user_is_refused(folder, name):
    """The folder or the key."""
    os.chown(folder / name, 65534, 65534)

    with pytest.raises(SettingsError, match="belongs to user 65534"):
        load(folder)


def test_no_authority_is_told_with_the_command_that_makes_one(folder):
    """The first thing that anybody sees of it."""
    with pytest.raises(SettingsError, match=f"run: .* ca init --ca-dir {folder}$"):
        load(folder)


@pytest.mark.usefixtures("authority")
@pytest.mark.parametrize("name", [KEY_FILE, CERTIFICATE_FILE])
def test_a_missing_half_is_told(folder, name):
    """A new authority is the only way out."""
    (folder / name).unlink()

    with pytest.raises(SettingsError, match=f"{folder / name} is missing; run: .*rep"):
        load(folder)


@pytest.mark.usefixtures("authority")
@pytest.mark.parametrize("data", [b"", b"\xff\x00", b"-----BEGIN PRIVATE KEY-----\n"])
@pytest.mark.parametrize("name", [KEY_FILE, CERTIFICATE_FILE])
def test_what_cannot_be_read_is_told(folder, name, data):
    """Empty, binary or cut off; no exception of another library comes through."""
    (folder / name).write_bytes(data)

    with pytest.raises(SettingsError, match=f"{folder / name} holds no .*--replace"):
        load(folder)


def test_an_encrypted_key_is_refused(folder, authority):
    """A proxy that starts by itself has nobody to ask."""
    (folder / KEY_FILE).write_bytes(pem_of(authority.key, b"secret"))

    with pytest.raises(SettingsError, match=r"is encrypted.*--replace"):
        load(folder)


@pytest.mark.parametrize(
    "extensions",
    [
        (),
        (x509.BasicConstraints(ca=False, path_length=None),),
        (
            IS_CA,
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=False,
                **dict.fromkeys(
                    (
                        "content_commitment",
                        "key_encipherment",
                        "data_encipherment",
                        "key_agreement",
                        "crl_sign",
                        "encipher_only",
                        "decipher_only",
                    ),
                    False,
                ),
            ),
        ),
    ],
)
def test_a_certificate_of_no_ca_is_refused(folder, put, extensions):
    """Clients would believe none of its leaves."""
    put(new_key(), *extensions)

    with pytest.raises(SettingsError, match="is not the certificate of a CA"):
        load(folder, now=NOW)


@pytest.mark.parametrize(
    ("make_key", "kind"),
    [
        (lambda: ec.generate_private_key(ec.SECP384R1()), "ECDSA secp384r1"),
        (lambda: rsa.generate_private_key(65537, 2048), "RSA 2048"),
    ],
)
def test_an_authority_of_ones_own_can_sign(folder, put, verified, make_key, kind):
    """Made with other tools, with other kinds of keys and without extensions."""
    put(make_key(), IS_CA)

    loaded = load(folder, now=NOW)
    leaf = issue(loaded, "a.example", new_key(), now=NOW)

    then = ("-attime", f"{NOW.timestamp():.0f}")
    assert (loaded.key_kind, loaded.scope.permitted) == (kind, ())
    assert verified(loaded.pem, leaf, *then, strict=False) == ""


@pytest.mark.parametrize(
    "make_key",
    [
        ed25519.Ed25519PrivateKey.generate,
        lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505 - that is the case
    ],
)
def test_a_key_that_clients_do_not_believe_is_refused(folder, put, make_key):
    """Of a kind that few know, or too short."""
    put(make_key(), IS_CA)

    with pytest.raises(SettingsError, match="is no ECDSA key and no RSA key"):
        load(folder, now=NOW)


def test_a_printed_authority_shows_no_key(authority):
    """Not in a traceback, nor in a log."""
    assert re.fullmatch(
        r"<Authority CN=reuse-proxy local CA \(\w+\), valid until [\d-]+>",
        repr(authority),
    )
