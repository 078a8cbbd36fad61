"""TLS towards origins: always verified, TLS 1.2 or newer, sessions resumed.

Which authorities are trusted and which certificate is shown follow from an origin's
host and port alone; nothing that a client sends changes them (requirements S31, S35).
"""

import asyncio
import ssl
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from reuse_proxy.config.hosts import ClientCertificate, HostTable
from reuse_proxy.config.machine import expanded
from reuse_proxy.errors import (
    ProxyError,
    SettingsError,
    UpstreamConnectError,
    UpstreamTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from reuse_proxy.http.target import Origin

_MAX_SESSIONS: Final = 256
# X509_V_ERR_*: self-signed, in the chain, or from an authority that is not known.
_UNKNOWN_AUTHORITY: Final = (18, 19, 20, 21)
_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")


class ResumingContext(ssl.SSLContext):
    """A client's context that offers each server the last session it gave us.

    asyncio has no parameter for a session, but asks its context to make the TLS
    object.  Only what :meth:`remember` was given is offered: completed, verified
    handshakes.
    """

    _done: "OrderedDict[str, ssl.SSLObject]"

    def remember(self, server: str, tls: ssl.SSLObject) -> None:
        """Keep a completed connection; its tickets may come later."""
        self._done[server] = tls
        self._done.move_to_end(server)
        if len(self._done) > _MAX_SESSIONS:
            self._done.popitem(last=False)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - ssl's signature
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Make a TLS object (called by the event loop)."""
        last = self._done.get(str(server_hostname))
        if session is None and last is not None:
            session = last.session
        return super().wrap_bio(
            incoming, outgoing, server_side, server_hostname, session
        )


class TlsContexts:
    """The contexts of all origins: one for each client certificate, and one without."""

    def __init__(
        self,
        *,
        ca_file: "Path | None" = None,
        client_certs: "Sequence[ClientCertificate]" = (),
        sources: "Mapping[str, str] | None" = None,
    ) -> None:
        """Check the files at once; the system's authorities are loaded when needed.

        Raises:
            SettingsError: a file cannot be used.
        """
        self._ca_file = None if ca_file is None else expanded(ca_file)
        self._sources = sources or {}
        self._certificates = HostTable(client_certs)
        self._contexts: dict[ClientCertificate | None, ResumingContext] = {}
        self._making = asyncio.Lock()
        trial = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._load_ca_file(trial)
        for certificate in client_certs:
            self._load_certificate(trial, certificate)

    async def context(self, origin: "Origin") -> ResumingContext:
        """Return the context for an origin, made off the loop the first time."""
        certificate = self._certificates.find(origin.host, origin.port)
        context = self._contexts.get(certificate)
        if context is None:
            async with self._making:
                context = self._contexts.get(certificate)
                if context is None:
                    context = await asyncio.to_thread(self._make, certificate)
                    self._contexts[certificate] = context
        return context

    def _make(self, certificate: ClientCertificate | None) -> ResumingContext:
        context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
        context._done = OrderedDict()  # noqa: SLF001 - SSLContext makes itself in __new__
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_default_certs()
        self._load_ca_file(context)
        if certificate is not None:
            self._load_certificate(context, certificate)
        return context

    def _load_ca_file(self, context: ssl.SSLContext) -> None:
        if self._ca_file is None:
            return
        try:
            context.load_verify_locations(self._ca_file)
        except OSError as exc:
            raise SettingsError(
                f"ca_file = {self._ca_file}{self._origin_of('ca_file')} cannot be used"
                f" ({_cause(exc)}); give a file with certificates in PEM form."
            ) from exc

    def _load_certificate(
        self, context: ssl.SSLContext, entry: ClientCertificate
    ) -> None:
        certificate = expanded(entry.certificate)
        key = certificate if entry.key is None else expanded(entry.key)
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except (OSError, ValueError) as exc:
            raise SettingsError(
                f"client_cert = {entry}{self._origin_of('client_cert')} cannot be used"
                f" ({_cause(exc)}); give a certificate and its unencrypted key in PEM"
                " form."
            ) from exc

    def _origin_of(self, name: str) -> str:
        return f" (from {self._sources[name]})" if name in self._sources else ""

    def __repr__(self) -> str:
        return f"<TlsContexts {len(self._contexts)} in use, {self._certificates!r}>"


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _cause(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLError):
        if exc.reason == "KEY_VALUES_MISMATCH":
            return "the key does not belong to the certificate"
        return _words(exc.reason or "it is not in PEM form")
    if isinstance(exc, OSError):
        return exc.strerror or str(exc)
    return str(exc)


def _words(reason: str) -> str:
    return reason.replace("_", " ").lower()


def check_name(origin: "Origin") -> None:
    """Refuse a host that TLS cannot name: the loop would fail on it halfway.

    Raises:
        UpstreamConnectError: a label of it is empty or too long.
    """
    try:
        origin.host.encode("idna")
    except UnicodeError as exc:
        raise UpstreamConnectError(
            f"{origin} has no name that a certificate could be for.",
            error="tls_protocol_error",
        ) from exc


def translate(origin: "Origin", exc: OSError, *, seconds: float) -> ProxyError:
    """Say why TLS could not be opened, as an error for the client (RFC 9209).

    Args:
        origin: where it was tried.
        exc: what the loop raised.
        seconds: ``tls_timeout``.
    """
    match exc:
        case ssl.SSLCertVerificationError():
            sentence, error = _refused_certificate(origin, exc), "tls_certificate_error"
        case ssl.SSLError() if exc.reason in _NOT_TLS:
            sentence = f"{origin} does not speak TLS on this port."
            error = "tls_protocol_error"
        case ssl.SSLError():
            reason = exc.reason or "no reason given"
            sentence = f"TLS with {origin} failed: {_words(reason)}."
            error = "tls_alert_received" if "ALERT" in reason else "tls_protocol_error"
        case ConnectionAbortedError() | TimeoutError():
            return UpstreamTimeoutError(
                f"Opening TLS to {origin} took longer than {seconds:g} s (tls_timeout).",
                error="connection_timeout",
            )
        case _:
            sentence = f"{origin} closed the connection during the TLS handshake."
            error = "connection_terminated"
    return UpstreamConnectError(sentence, error=error)


def _refused_certificate(origin: "Origin", exc: ssl.SSLCertVerificationError) -> str:
    sentence = (
        f"The certificate of {origin} is not accepted: "
        f"{exc.verify_message.rstrip('.')}."
    )
    if exc.verify_code in _UNKNOWN_AUTHORITY:
        sentence += " If its authority is your own, name its file in ca_file."
    return sentence
