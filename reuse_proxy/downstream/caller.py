"""What the ledger wants to know of one client connection: who calls, and who ended it."""

from typing import TYPE_CHECKING

from reuse_proxy.downstream.sockets import was_reset

if TYPE_CHECKING:
    from reuse_proxy.downstream.client import ClientConnection
    from reuse_proxy.ledger.visit import Visit


class Caller:
    """The client on a connection; a TLS connection inside of it has the same one.

    Attributes:
        visit: its page in the ledger, once it has asked for something.
        credentials: how it has named itself; inside of what is intercepted it does
            not again.
        admitted: it was let in.
        asked_to_close: so did its last request.
        ended_here: we have ended the connection, and it had not asked for that.
        unheard: it was gone before our last word.
    """

    __slots__ = (
        "admitted",
        "asked_to_close",
        "credentials",
        "ended_here",
        "unheard",
        "visit",
    )

    def __init__(self) -> None:
        self.visit: Visit | None = None
        self.credentials: bytes | None = None
        self.admitted = self.asked_to_close = False
        self.ended_here = self.unheard = False

    def closed_its_side(self, connection: "ClientConnection") -> None:
        """Note in which phase of an exchange the client has sent its FIN."""
        if self.visit is not None and connection.exchange is not None:
            self.visit.gone_in = connection.exchange.phase

    def done(self, connection: "ClientConnection") -> None:
        """Note, before we hang up behind the last response, on whose account that is.

        A client that had closed its side may have been gone: on this machine, and where
        it is near, its kernel has told us so by now.
        """
        half_closed = connection.half_closed
        self.unheard = half_closed and was_reset(connection.fileno())
        self.ended_here = not (self.asked_to_close or half_closed)
