"""Connections that belong to one client: kept, lent to it alone, let go with it."""

from typing import Any

import pytest

from reuse_proxy.config.parent import ParentProxy
from reuse_proxy.errors import ProxyError
from reuse_proxy.http.response_fields import read_response_fields
from reuse_proxy.http.target import Origin, ProxyTarget
from reuse_proxy.upstream.head import ResponseHead
from reuse_proxy.upstream.private import (
    PrivateConnections,
    challenged,
    connections_of,
)
from tests.support.pools import Bench, FakeConnection


class Keeper:
    """Notes what a session would be told."""

    def __init__(self, *, ready: bool = True) -> None:
        self.ready = ready
        self.resumed: list[Any] = []
        self.closed: list[Any] = []

    def resume(self, connection: Any) -> bool:
        """Lease it, or find it stale."""
        self.resumed.append(connection)
        return self.ready

    def close_private(self, connection: Any) -> None:
        """Discard it."""
        self.closed.append(connection)


class Client:
    """A client, as far as connections can belong to it."""

    def __init__(self, *, left: bool = False) -> None:
        self.private: PrivateConnections | None = None
        self.left = left


@pytest.fixture
def keeper():
    """A session that finds every connection ready."""
    return Keeper()


@pytest.fixture
def kept(keeper):
    """The connections of one client, none so far."""
    return PrivateConnections(keeper)


def connection_to(name: str = "a.test") -> Any:
    """Make a connection to an origin."""
    return FakeConnection(Bench().origin(name))


def test_what_is_kept_is_given_to_the_next_request(keeper, kept):
    """To the same origin, and once: it is leased then."""
    connection = connection_to()
    kept.keep(connection)

    assert kept.take(connection_to("b.test").pool.origin) is None
    assert kept.take(connection.pool.origin) is connection
    assert kept.take(connection.pool.origin) is None
    assert keeper.resumed == [connection]
    assert keeper.closed == []


def test_a_connection_that_is_not_ready_is_not_given():
    """The keeper has discarded it as stale."""
    keeper = Keeper(ready=False)
    kept = PrivateConnections(keeper)
    kept.keep(connection := connection_to())

    assert kept.take(connection.pool.origin) is None
    assert repr(kept) == "<PrivateConnections []>"


def test_there_is_one_for_each_origin(keeper, kept):
    """A second one takes the place of the first, which is discarded."""
    first, second, other = connection_to(), connection_to(), connection_to("b.test")
    for connection in (first, other, second):
        kept.keep(connection)

    assert keeper.closed == [first]
    assert kept.take(first.pool.origin) is second
    assert kept.take(other.pool.origin) is other


def test_all_are_discarded_with_their_client(keeper, kept):
    """None is left for anybody else, and closing again does nothing."""
    connections = [connection_to(), connection_to("b.test")]
    for connection in connections:
        kept.keep(connection)

    kept.close()
    kept.close()

    assert keeper.closed == connections
    assert kept.take(connections[0].pool.origin) is None


def test_what_is_kept_after_its_client_has_left_is_discarded_at_once(keeper, kept):
    """Its last response may end later than its connection."""
    kept.close()
    kept.keep(connection := connection_to())

    assert keeper.closed == [connection]
    assert kept.take(connection.pool.origin) is None


def test_a_client_has_one_set_of_connections(keeper):
    """Made with the first that it needs."""
    client = Client()

    kept = connections_of(client, keeper)

    assert client.private is kept
    assert connections_of(client, keeper) is kept


def test_nothing_can_belong_to_a_client_that_has_left(keeper):
    """What it would get is discarded."""
    kept = connections_of(Client(left=True), keeper)
    kept.keep(connection := connection_to())

    assert keeper.closed == [connection]


def test_its_repr_names_the_origins(kept):
    """For whoever debugs."""
    kept.keep(connection_to())
    kept.keep(connection_to("b.test"))

    assert repr(kept) == "<PrivateConnections ['http://a.test:80', 'http://b.test:80']>"


def head_with(status, *fields):
    """Make a response's head."""
    return ResponseHead(status, b"", read_response_fields(fields), http10=False)


@pytest.mark.parametrize(
    ("challenge", "bound"),
    [(b"NTLM", True), (b"Negotiate, Basic", True), (b"Basic", False)],
)
def test_a_challenge_for_the_client_may_bind_its_connection(challenge, bound):
    """401 is the origin's, through a parent as directly."""
    head = head_with(401, (b"WWW-Authenticate", challenge))
    through = Origin("parent", "corp", 1, ParentProxy("corp", 1))

    for origin in (Origin("http", "a.test", 80), through):
        assert challenged(head, ProxyTarget(origin, b"a.test", b"/")) is bound


def test_a_challenge_of_the_parent_is_an_error_of_ours():
    """No client can answer it."""
    head = head_with(407, (b"Proxy-Authenticate", b"NTLM"))
    origin = Origin("parent", "corp", 1, ParentProxy("corp", 1))

    with pytest.raises(ProxyError, match="it wants NTLM") as caught:
        challenged(head, ProxyTarget(origin, b"a.test", b"http://a.test/"))

    assert caught.value.status == 502
