"""Who is calling: a client connection's page in the ledger, opened at its first request."""

import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Final, cast

from reuse_proxy.downstream.access import is_loopback
from reuse_proxy.ledger.identity import Identity, identify, product_of, user_of
from reuse_proxy.ledger.ledger import End
from reuse_proxy.ledger.sockdiag import Ends

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from reuse_proxy.downstream.client import ClientConnection
    from reuse_proxy.downstream.request import ClientRequest
    from reuse_proxy.ledger.ledger import Ledger
    from reuse_proxy.ledger.owner import Owners
    from reuse_proxy.ledger.visit import Visit

# struct ucred of unix(7), on Linux: pid, uid, gid.
_UCRED: Final = struct.Struct("3i")
_NO_FIELDS: Final[list[tuple[bytes, bytes]]] = []


class Callers:
    """Tells clients apart, and keeps their pages."""

    def __init__(self, ledger: "Ledger", owners: "Owners | None") -> None:
        self.ledger = ledger
        self._owners = owners

    def visit(
        self,
        request: "ClientRequest",
        credentials: bytes | None,
    ) -> "Visit":
        """Return the page of the connection on which a request has come.

        Args:
            request: for the User-Agent of a connection's first.
            credentials: its Proxy-Authorization.
        """
        connection, fields = request.connection, request.raw_fields
        caller = connection.caller
        visit = caller.visit
        if visit is None:
            caller.credentials = credentials or caller.credentials
            visit = caller.visit = self._enter(connection, fields)
        elif credentials is not None and credentials != visit.credentials:
            identity = Identity(user_of(credentials), product_of(fields))
            if identity.name:
                self.ledger.rename(visit, identity, credentials=credentials)
        return visit

    def leave(self, connection: "ClientConnection", *, broken: bool) -> None:
        """Close a connection's page; one that has asked for nothing counts as well."""
        caller = connection.caller
        visit = caller.visit or self._enter(connection, ())
        caller.visit = None
        end = End(
            at=connection.server.now(),
            idle_since=None if connection.exchange else connection.idle_from,
            ours=caller.ended_here,
            broken=broken or caller.unheard,
        )
        self.ledger.leave(visit, connection, end)

    def name(
        self,
        connection: "ClientConnection",
        request: "ClientRequest | None",
        visit: "Visit | None",
    ) -> str:
        """Name a client as the report would, also one that has no account of its own.

        Args:
            connection: its connection.
            request: what it asks, if that could be read.
            visit: the connection's page, if it has one.
        """
        if visit is not None and visit.account is not self.ledger.other:
            return visit.account.name
        credentials, fields = connection.caller.credentials, _NO_FIELDS
        if request is not None:
            fields = request.raw_fields
            credentials = request.field(b"proxy-authorization") or credentials
        return _identify(connection, fields, credentials)[0].name

    def _enter(
        self,
        connection: "ClientConnection",
        fields: "Iterable[tuple[bytes, bytes]]",
    ) -> "Visit":
        credentials = connection.caller.credentials
        host, transport = connection.host, connection.transport
        identity, pid = _identify(connection, fields, credentials)
        # Nothing has been answered yet: this is when it was opened.
        now = connection.idle_from
        visit = self.ledger.enter(identity, now=now, credentials=credentials)
        if self._owners is not None and self._owners.is_due(visit.account, now):
            if pid:
                self._owners.consider(visit.account, pid)
            elif transport is not None and host is not None and is_loopback(host):
                self._owners.consider(visit.account, _ends(transport))
        return visit


def _identify(
    connection: "ClientConnection",
    fields: "Iterable[tuple[bytes, bytes]]",
    credentials: bytes | None,
) -> tuple[Identity, int | None]:
    """Return who a client is; on a UNIX socket with its process, if it is there."""
    host, transport = connection.host, connection.transport
    pid, uid = None, None
    if host is None and transport is not None:
        with contextlib.suppress(OSError):  # closed already
            pid, uid = _peer(transport)
    identity = identify(
        user=user_of(credentials), product=product_of(fields), host=host, uid=uid
    )
    return identity, pid


def _peer(transport: "asyncio.Transport") -> tuple[int | None, int | None]:
    """Return process and user at the other end of a UNIX socket (SO_PEERCRED)."""
    sock = cast("socket.socket", transport.get_extra_info("socket"))
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:  # Linux alone has it
        return None, None
    pid, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, option, _UCRED.size))
    return pid, uid


def _ends(transport: "asyncio.Transport") -> Ends:
    return Ends(
        transport.get_extra_info("peername")[:2],
        transport.get_extra_info("sockname")[:2],
    )
