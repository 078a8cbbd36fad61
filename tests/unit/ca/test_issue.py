"""Leaves: what they say, how long, and for whom none is signed."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from reuse_proxy.ca.issue import IssuerError, LeafError, issue, new_key
from reuse_proxy.ca.store import create
from reuse_proxy.errors import ProxyError, RequestError
from tests.unit.ca.making import NOW

WEEK = timedelta(days=7)

HOSTS = ("a.example", "a_b.example", "xn--bcher-kva.example", "127.0.0.1", "::1")


def unconstrained(authority):
    """Return the same issuer with the same key as if it had no constraints."""
    old = authority.certificate
    builder = x509.CertificateBuilder(
        *(old.issuer, old.subject, old.public_key(), old.serial_number),
        *(old.not_valid_before_utc, old.not_valid_after_utc),
    )
    for extension in old.extensions:
        if not isinstance(extension.value, x509.NameConstraints):
            builder = builder.add_extension(extension.value, extension.critical)
    return replace(authority, certificate=builder.sign(authority.key, hashes.SHA256()))


def check_host(host):
    """Return openssl's option for a host that a client has asked for."""
    address = re.fullmatch(r"[\d.]+|[\da-f:]*::[\da-f:]*", host)
    return ("-verify_ip" if address else "-verify_hostname", host)


@pytest.mark.parametrize("host", HOSTS)
def test_openssl_takes_a_leaf_for_its_host_and_for_no_other(authority, verified, host):
    """Strictly read, as a server's certificate."""
    leaf = issue(authority, host, new_key())

    assert verified(authority.pem, leaf, *check_host(host)) == ""
    for other in ("b.example", "b.a.example", "127.0.0.2", "::2"):
        assert "mismatch" in verified(authority.pem, leaf, *check_host(other))


def test_openssl_takes_no_leaf_of_another_authority(authority, tmp_path, verified):
    """Each installation has its own."""
    leaf = issue(create(tmp_path / "other"), "a.example", new_key())

    assert "unable to get local issuer" in verified(authority.pem, leaf)


def test_openssl_reads_in_it_what_a_server_needs(authority, openssl):
    """A name and no subject; good for a server and for nothing else."""
    leaf = issue(authority, "a.example", new_key())

    _, text = openssl("x509", "-noout", "-text", "-in", leaf)

    flat = re.sub(r"\s+", " ", text)
    assert "ASN1 OID: prime256v1" in flat
    assert re.search(r"Subject: Subject Public Key", flat)
    assert "Subject Alternative Name: critical DNS:a.example X509v3" in flat
    assert "Basic Constraints: critical CA:FALSE X509v3" in flat
    assert "Key Usage: critical Digital Signature X509v3" in flat
    assert "Extended Key Usage: TLS Web Server Authentication X509v3" in flat
    assert "Subject Key Identifier: " in flat
    assert "Authority Key Identifier: " in flat


def test_no_two_leaves_have_the_same_serial_number(authority):
    """Clients remember issuer and serial number as one certificate."""
    key = new_key()

    pems = [issue(authority, "a.example", key) for _ in range(2)]

    first, second = map(x509.load_pem_x509_certificate, pems)
    assert first.serial_number != second.serial_number


def test_a_leaf_lives_for_a_week_from_an_hour_ago(folder):
    """For clients whose clock is slow; the hour counts."""
    authority = create(folder, now=NOW - WEEK)

    leaf = x509.load_pem_x509_certificate(
        issue(authority, "a.example", new_key(), now=NOW)
    )

    assert leaf.not_valid_before_utc == NOW - timedelta(hours=1)
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert timedelta(0) <= WEEK - life <= timedelta(seconds=1)


@pytest.mark.parametrize("left", [timedelta(days=1), timedelta(seconds=1)])
def test_a_leaf_does_not_outlive_its_authority(folder, left):
    """Up to the last second."""
    authority = create(folder, days=30, now=NOW)
    late = authority.expires_at - left

    leaf = x509.load_pem_x509_certificate(
        issue(authority, "a.example", new_key(), now=late)
    )

    assert leaf.not_valid_after_utc == authority.expires_at


def test_a_leaf_is_not_older_than_its_authority(folder):
    """A client may ask that one lies within the other."""
    authority = create(folder, now=NOW)
    early = NOW - timedelta(minutes=10)

    leaf = x509.load_pem_x509_certificate(
        issue(authority, "a.example", new_key(), now=early)
    )

    assert leaf.not_valid_before_utc == authority.certificate.not_valid_before_utc


def test_an_expired_authority_signs_nothing(folder):
    """It was valid when the process began."""
    authority = create(folder, days=1, now=NOW)

    with pytest.raises(IssuerError, match="has expired on 2030-01-03") as caught:
        issue(authority, "a.example", new_key(), now=NOW + WEEK)
    assert "ca init --replace --ca-dir <its folder>" in caught.value.sentence


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("*.example.com", "wildcard"),
        ("bücher.example", "xn-- form"),
        ("a..example", "empty"),
        ("", "empty"),
        ("a/b.example", "only letters"),
    ],
)
def test_a_host_that_no_certificate_can_name_is_the_clients_mistake(
    authority, host, problem
):
    """One sentence in ASCII, as an answer of 400."""
    with pytest.raises(LeafError, match=problem) as caught:
        issue(authority, host, new_key())

    assert isinstance(caught.value, RequestError)
    assert caught.value.status == 400
    assert caught.value.sentence.isascii()
    assert ascii(host) in caught.value.sentence


def test_a_long_host_does_not_make_a_long_sentence(authority):
    """Nor can it put a line into a log."""
    with pytest.raises(LeafError) as caught:
        issue(authority, "a\r\nb" * 10_000, new_key())

    assert len(caught.value.sentence) < 500
    assert caught.value.sentence.isprintable()


@pytest.mark.parametrize(
    ("permit", "host"),
    [
        (["a.example"], "b.example"),
        (["a.example"], "aa.example"),
        (["a.example"], "10.0.0.1"),
        (["a.example"], "::1"),
        (["10.0.0.0/8"], "a.example"),
        (["10.0.0.0/8"], "11.0.0.1"),
        (["10.0.0.0/8"], "::1"),
    ],
)
def test_a_host_outside_the_constraints_is_refused_here_and_by_openssl(
    folder, verified, permit, host
):
    """What a thief of the key would sign, no client takes."""
    authority = create(folder, permit=permit)
    stolen = issue(unconstrained(authority), host, new_key())

    with pytest.raises(IssuerError, match=rf"{permit[0]} only, not for {host}"):
        issue(authority, host, new_key())
    assert verified(unconstrained(authority).pem, stolen) == ""
    assert re.search(
        "permitted subtree violation|excluded subtree violation",
        verified(authority.pem, stolen),
    )


@pytest.mark.parametrize("host", ["a.example", "b.a.example", "10.0.0.1", "fd00::1"])
def test_a_host_within_the_constraints_is_taken_by_openssl(folder, verified, host):
    """A name with all below it, and networks of both kinds."""
    authority = create(folder, permit=["a.example", "10.0.0.0/8", "fd00::/8"])

    leaf = issue(authority, host, new_key())

    assert verified(authority.pem, leaf, *check_host(host)) == ""


def test_a_constraint_is_our_configuration_and_not_the_clients_mistake(folder):
    """The answer says so in RFC 9209's word."""
    authority = create(folder, permit=["a.example"])

    with pytest.raises(ProxyError) as caught:
        issue(authority, "b.example", new_key())

    assert caught.value.status == 500
    assert caught.value.error == "proxy_configuration_error"


def test_the_advice_for_another_host_keeps_the_names_that_there_are(folder):
    """A shell refuses it until the folder is put in; another one is not hit."""
    authority = create(folder, permit=["a.example", "10.0.0.0/8"])

    with pytest.raises(IssuerError) as caught:
        issue(authority, "b.example", new_key())

    assert caught.value.sentence.endswith(
        "reuse-proxy ca init --replace --permit b.example --permit a.example "
        "--permit 10.0.0.0/8 --ca-dir <its folder>"
    )
