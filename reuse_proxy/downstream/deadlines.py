"""What a client owes us, and by when: the rest of a head, of a body, a close."""

from typing import TYPE_CHECKING

from reuse_proxy.downstream.refusals import body_too_slow, head_too_slow

if TYPE_CHECKING:
    from reuse_proxy.downstream.client import ClientConnection
    from reuse_proxy.downstream.request import ClientBody


class Deadlines:
    """The time limits of one client, looked at by the listener's sweeper.

    Attributes:
        awaited_body: the body whose bytes a handler waits for.
        since: when the wait for whatever is owed began, in seconds of the loop.
    """

    __slots__ = ("_progress", "awaited_body", "since")

    def __init__(self) -> None:
        self.awaited_body: ClientBody | None = None
        self.since = 0.0
        # How much had been written to a half-closed client when it was looked at last.
        self._progress = 0

    def check(self, client: "ClientConnection", now: float) -> bool:
        """Apply the limits to a client; tell whether it owes us something still."""
        waited = now - self.since
        times = client.server.timeouts
        if self.awaited_body is not None:
            if waited >= times.body:
                self.awaited_body.fail(body_too_slow(times.body))
            return True
        if client.half_closed:
            if client.written != self._progress:
                self._progress, self.since = client.written, now
            elif waited >= times.half_closed:
                client.reset()
            return client.transport is not None
        if client.intake.head_bytes and client.idle_since is not None:
            if waited >= times.head:
                client.refuse(head_too_slow(times.head))
            return True
        return False
