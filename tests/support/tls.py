"""Certificates for tests: an authority of the origins, and a local CA of ours."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from reuse_proxy.ca import store


class CountingContext(ssl.SSLContext):
    """Counts the connections on which TLS was begun, also where it did not end."""

    begun = 0

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        """Count one; the event loop asks for each."""
        self.begun += 1
        return super().wrap_bio(*arguments, **named)


class OriginAuthority:
    """The authority that signs for origins; a file of it is what ca_file wants."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.file = folder / "origins.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def server(self, *names: str, http2: bool = True) -> CountingContext:
        """Make the context of an origin; without names, the one of the test origins.

        It offers HTTP/2, which no test origin speaks, to show that the proxy does not
        ask for it; a client in a tunnel might.
        """
        context = CountingContext(ssl.PROTOCOL_TLS_SERVER)
        names = names or (
            "origin.test",
            "a.test",
            "b.test",
            "c.test",
            "127.0.0.1",
            "::1",
        )
        self._ca.issue_cert(*names).configure_cert(context)
        context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
        return context

    def asking_server(self) -> ssl.SSLContext:
        """Make the context of an origin that wants a client certificate."""
        context = self.server()
        context.verify_mode = ssl.CERT_REQUIRED
        self._ca.configure_trust(context)
        return context

    def client(self) -> ssl.SSLContext:
        """Make the context of a client that trusts these origins."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._ca.configure_trust(context)
        return context

    def client_certificate(self, name: str) -> Path:
        """Write a certificate for a client, with its key, and return the file."""
        file = self._folder / f"{name}.pem"
        self._ca.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(
            str(file)
        )
        return file


@dataclass(frozen=True)
class LocalAuthority:
    """A CA as `reuse-proxy ca init` makes it."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> "LocalAuthority":
        """Make one."""
        store.create(folder)
        return cls(folder)

    @property
    def file(self) -> Path:
        """Its certificate, for clients to trust."""
        return self.folder / store.CERTIFICATE_FILE

    def client(self) -> ssl.SSLContext:
        """Make the context of a client that trusts it, and nothing else."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.file)
        return context
