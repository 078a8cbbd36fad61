"""TLS towards origins: always verified, TLS 1.2 or newer, sessions resumed.

Which authorities are trusted and which certificate is shown follow from an origin's
host and port alone; nothing that a client sends changes them (requirements S31, S35).
"""

import asyncio
import ssl
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from reuse_proxy.config.hosts import ClientCertificate, HostTable
from reuse_proxy.config.machine import expanded
from reuse_proxy.errors import (
    ProxyError,
    SettingsError,
    UnavailableError,
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


@dataclass(frozen=True, slots=True)
class _Verified:
    """A completed handshake, and until when its certificate need not be seen again."""

    tls: ssl.SSLObject
    until: datetime


class ResumingContext(ssl.SSLContext):
    """A client's context that offers each server the last session it gave us.

    asyncio has no parameter for a session, but asks its context to make the TLS
    object.  Only what :meth:`remember` was given is offered: completed, verified
    handshakes.  A resumed one verifies nothing, so it counts for no longer than a
    pooled connection lives, and not beyond the certificate's own end.
    """

    _done: "OrderedDict[str, _Verified]"
    _seconds: float

    def remember(self, server: str, tls: ssl.SSLObject) -> None:
        """Keep a completed connection; its tickets may come later."""
        last = self._done.get(server)
        if not tls.session_reused or last is None:
            until = min(_now() + timedelta(seconds=self._seconds), _not_after(tls))
        else:
            until = last.until
        self._done[server] = _Verified(tls, until)
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
        if session is None and last is not None and _now() < last.until:
            session = last.tls.session
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
        resume_for: float = 600.0,
        sources: "Mapping[str, str] | None" = None,
    ) -> None:
        """Check the files at once; the system's authorities are loaded when needed.

        Args:
            ca_file: authorities to trust beside the system's.
            client_certs: certificates to show.
            resume_for: seconds for which a verified session may be resumed.
            sources: where the settings came from, for refusals.

        Raises:
            SettingsError: a file cannot be used.
        """
        self._ca_file = None if ca_file is None else expanded(ca_file)
        self._sources = sources or {}
        self._resume_for = resume_for
        self._certificates = HostTable(client_certs)
        self._contexts: dict[ClientCertificate | None, ResumingContext] = {}
        self._making = asyncio.Lock()
        trial = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._load_ca_file(trial)
        for certificate in client_certs:
            self._load_certificate(trial, certificate)

    async def context(self, origin: "Origin") -> ResumingContext:
        """Return the context for an origin, made off the loop the first time.

        Raises:
            UnavailableError: a file that it needs cannot be read now.
        """
        certificate = self._certificates.find(origin.host, origin.port)
        context = self._contexts.get(certificate)
        if context is None:
            async with self._making:
                context = self._contexts.get(certificate)
                if context is None:
                    context = await self._made(certificate)
                    self._contexts[certificate] = context
        return context

    async def _made(self, certificate: ClientCertificate | None) -> ResumingContext:
        try:
            return await asyncio.to_thread(self._make, certificate)
        except (SettingsError, OSError) as exc:
            cause = exc.strerror if isinstance(exc, OSError) else str(exc)
            raise UnavailableError(
                f"TLS to origins cannot be set up now: {str(cause).rstrip('.')}."
            ) from exc

    def _make(self, certificate: ClientCertificate | None) -> ResumingContext:
        context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
        # SSLContext makes itself in __new__.
        context._done, context._seconds = OrderedDict(), self._resume_for  # noqa: SLF001
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        _load_system_roots(context)
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
                f"ca_file = {self._ca_file}{self._source_of('ca_file')} cannot be used"
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
                f"client_cert = {entry}{self._source_of('client_cert')} cannot be used"
                f" ({_cause(exc)}); give a certificate and its unencrypted key in PEM"
                " form."
            ) from exc

    def _source_of(self, name: str) -> str:
        return f" (from {self._sources[name]})" if name in self._sources else ""

    def __repr__(self) -> str:
        return f"<TlsContexts {len(self._contexts)} in use, {self._certificates!r}>"


def _load_system_roots(context: ssl.SSLContext) -> None:
    """Load the system's authorities; ``load_default_certs`` keeps a failure to itself.

    Raises:
        OSError: they cannot be read, as when no more files may be open.
    """
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        context.load_verify_locations(cafile=paths.cafile)
    if paths.capath:
        context.load_verify_locations(capath=paths.capath)


def _now() -> datetime:
    return datetime.now(UTC)


def _not_after(tls: ssl.SSLObject) -> datetime:
    """Return the end of the peer's certificate."""
    certificate = tls.getpeercert() or {}
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return datetime.fromtimestamp(ends, UTC)


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
