"""TLS towards origins: one context per certificate, sessions, and what went wrong."""

import asyncio
import contextlib
import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from reuse_proxy.config.hosts import ClientCertificate
from reuse_proxy.errors import (
    UnavailableError,
    UpstreamConnectError,
    UpstreamTimeoutError,
)
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


def shaken(context, server, name):
    """Do a handshake in memory, tickets included; return the client's side."""
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(theirs, ours, server_hostname=name)
    other = server.wrap_bio(ours, theirs, server_side=True)
    for _ in range(3):
        for side in (client, other):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    with contextlib.suppress(ssl.SSLWantReadError):
        client.read(1)
    context.remember(name, client)
    return client


async def test_sessions_are_kept_for_a_bounded_number_of_servers(
    authority, monkeypatch
):
    """The one that was used least recently goes."""
    monkeypatch.setattr(tls, "_MAX_SESSIONS", 2)
    context = await TlsContexts(ca_file=authority.file).context(HERE)
    server = authority.server()
    first = [shaken(context, server, f"{name}.test") for name in "abac"]

    assert list(context._done) == ["a.test", "c.test"]
    assert [side.session_reused for side in first] == [False, False, True, False]


async def test_a_session_is_resumed_no_longer_than_a_connection_lives(authority):
    """Its certificate is looked at again after that; resuming does not extend it."""
    context = await TlsContexts(ca_file=authority.file, resume_for=0.2).context(HERE)
    server = authority.server()
    resumed = [shaken(context, server, "a.test").session_reused for _ in range(2)]
    until = context._done["a.test"].until
    shaken(context, server, "a.test")

    assert resumed == [False, True]
    assert context._done["a.test"].until == until
    await asyncio.sleep(0.25)
    assert not shaken(context, server, "a.test").session_reused


async def test_a_session_does_not_outlive_its_certificate(tmp_path):
    """However long it could be resumed otherwise."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=30)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("a.test", not_after=end).configure_cert(server)
    context = await TlsContexts(ca_file=tmp_path / "ca.pem").context(HERE)
    shaken(context, server, "a.test")

    assert context._done["a.test"].until == end


async def test_a_file_that_is_gone_fails_the_request_and_not_the_next(
    authority, tmp_path
):
    """Contexts are made when they are needed; a failure is not kept."""
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.file.read_bytes())
    contexts = TlsContexts(ca_file=file)
    file.unlink()

    with pytest.raises(UnavailableError, match="cannot be set up now: ca_file = "):
        await contexts.context(HERE)
    file.write_bytes(authority.file.read_bytes())
    assert (await contexts.context(HERE)).get_ca_certs()


async def test_system_roots_that_cannot_be_read_are_not_taken_for_none(
    monkeypatch, tmp_path
):
    """As when no more files may be open: load_default_certs would say nothing."""
    file = tmp_path / "roots.pem"
    paths = ssl.get_default_verify_paths()._replace(cafile=str(file), capath="")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)

    with pytest.raises(UnavailableError, match="No such file"):
        await TlsContexts().context(HERE)


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
