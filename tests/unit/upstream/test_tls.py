"""TLS towards origins: one context per certificate, sessions, and what went wrong."""

import asyncio
import ssl

import pytest

from reuse_proxy.config.hosts import ClientCertificate
from reuse_proxy.errors import UpstreamConnectError, UpstreamTimeoutError
from reuse_proxy.http.target import Origin
from reuse_proxy.upstream import tls
from reuse_proxy.upstream.tls import TlsContexts, check_name, translate

HERE = Origin("https", "a.test", 443)


async def test_origins_share_a_context_unless_they_get_a_certificate(authority):
    """By host and port; the first entry that matches counts."""
    file = authority.client_certificate("unit")
    contexts = TlsContexts(
        client_certs=[ClientCertificate.parse(f"a.test:8443={file}")],
    )
    plain, other, certified = [
        await contexts.context(Origin("https", "a.test", port))
        for port in (443, 444, 8443)
    ]

    assert plain is other
    assert certified is not plain


async def test_a_context_is_made_once_for_all_that_wait(authority):
    """Loading the system's authorities takes tens of milliseconds."""
    contexts = TlsContexts(ca_file=authority.file)
    made = await asyncio.gather(*(contexts.context(HERE) for _ in range(5)))

    assert len(set(map(id, made))) == 1


async def test_a_context_verifies_and_speaks_nothing_old(authority):
    """S31, S35: names and authorities are checked, TLS 1.2 is the least."""
    context = await TlsContexts(ca_file=authority.file).context(HERE)

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    subjects = [str(ca["subject"]) for ca in context.get_ca_certs()]
    assert any("trustme" in subject for subject in subjects)
    assert len(subjects) > 1  # the system's are there, too


async def test_sessions_are_kept_for_a_bounded_number_of_servers(
    authority, monkeypatch
):
    """The one that was used least recently goes."""
    monkeypatch.setattr(tls, "_MAX_SESSIONS", 2)
    context = await TlsContexts(ca_file=authority.file).context(HERE)
    made = {}
    for server in ("a", "b", "a", "c"):
        made[server] = context.wrap_bio(
            ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=server
        )
        context.remember(server, made[server])

    assert list(context._done) == ["a", "c"]
    assert context._done["a"] is made["a"]


def verification_failed(code, message):
    """What the loop raises for a bad certificate."""
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_code, error.verify_message = code, message
    return error


def tls_failed(reason):
    """What the loop raises for other failures of TLS."""
    error = ssl.SSLError(1, "x")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("exc", "error", "words"),
    [
        (
            verification_failed(20, "unable to get local issuer certificate"),
            "tls_certificate_error",
            "name its file in ca_file",
        ),
        (
            verification_failed(62, "Hostname mismatch, not valid for 'a.test'."),
            "tls_certificate_error",
            "not valid for 'a.test'.",
        ),
        (
            tls_failed("WRONG_VERSION_NUMBER"),
            "tls_protocol_error",
            "does not speak TLS",
        ),
        (tls_failed(None), "tls_protocol_error", "no reason given"),
        (
            tls_failed("SSLV3_ALERT_HANDSHAKE_FAILURE"),
            "tls_alert_received",
            "alert handshake failure",
        ),
        (ConnectionResetError(), "connection_terminated", "during the TLS handshake"),
        (BrokenPipeError(), "connection_terminated", "during the TLS handshake"),
    ],
)
def test_a_failure_is_502_with_its_reason(exc, error, words):
    """RFC 9209 names the kinds."""
    translated = translate(HERE, exc, seconds=1)

    assert isinstance(translated, UpstreamConnectError)
    assert (translated.status, translated.error) == (502, error)
    assert words in translated.sentence
    assert "https://a.test:443" in translated.sentence


@pytest.mark.parametrize("exc", [ConnectionAbortedError("too long"), TimeoutError()])
def test_a_handshake_that_takes_too_long_is_504(exc):
    """With the setting that governs it."""
    translated = translate(HERE, exc, seconds=2.5)

    assert isinstance(translated, UpstreamTimeoutError)
    assert "2.5 s (tls_timeout)" in translated.sentence


@pytest.mark.parametrize("host", [".a", "a..b", "a" * 64])
def test_a_name_with_an_impossible_label_is_refused(host):
    """Before the loop is asked, which would fail on it halfway."""
    with pytest.raises(UpstreamConnectError, match="no name that a certificate"):
        check_name(Origin("https", host, 443))


@pytest.mark.parametrize("host", ["a.test", "xn--bcher-kva.test", "127.0.0.1", "::1"])
def test_names_and_addresses_pass(host):
    """Whatever a certificate can be for."""
    check_name(Origin("https", host, 443))
