"""The kernel, asked about one TCP socket by its addresses."""

import socket
import sys
from pathlib import Path

import pytest

from reuse_proxy.ledger.sockdiag import Ends, inode_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sock_diag is Linux's")


def own_inode(sock):
    """A socket's inode, as /proc tells it."""
    link = str(Path(f"/proc/self/fd/{sock.fileno()}").readlink())
    return int(link.removeprefix("socket:[").removesuffix("]"))


@pytest.fixture(params=["127.0.0.1", "::1"])
def pair(request):
    """The client's end of a connection, and ours."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with (
        socket.create_server((request.param, 0), family=family) as listener,
        socket.create_connection(listener.getsockname()[:2]) as client,
    ):
        ours, _ = listener.accept()
        with ours:
            yield client, ours


def test_a_connection_is_found_by_its_addresses(pair):
    """The client's end, not ours, which has another inode."""
    client, ours = pair
    ends = Ends(ours.getpeername()[:2], ours.getsockname()[:2])

    assert inode_of(ends) == own_inode(client) != own_inode(ours)


def test_a_mapped_address_is_the_one_that_the_client_has():
    """A listener of both families sees IPv4 clients as ::ffff:127.0.0.1."""
    with (
        socket.create_server(
            ("::", 0), family=socket.AF_INET6, dualstack_ipv6=True
        ) as listener,
        socket.create_connection(("127.0.0.1", listener.getsockname()[1])) as client,
    ):
        ours, (host, *_) = listener.accept()
        with ours:
            ends = Ends(ours.getpeername()[:2], ours.getsockname()[:2])

            assert host == "::ffff:127.0.0.1"
            assert inode_of(ends) == own_inode(client)


def test_a_socket_that_is_not_there_has_no_inode(pair):
    """As of a client on another machine, or one that has left."""
    client, ours = pair
    ends = Ends(ours.getpeername()[:2], ours.getsockname()[:2])
    client.close()
    ours.close()

    assert inode_of(ends) == 0
