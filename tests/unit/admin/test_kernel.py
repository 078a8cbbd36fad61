"""What the kernel says of sockets, on real ones."""

import socket
import struct

import pytest

from reuse_proxy.admin.kernel import socket_states


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])
def pair(request):
    """A connected pair of TCP sockets on loopback."""
    with socket.socket(request.param) as listener:
        host = "127.0.0.1" if request.param == socket.AF_INET else "::1"
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip(f"no {host} here")
        listener.listen()
        with socket.create_connection(listener.getsockname()[:2]) as near:
            far, _ = listener.accept()
            with far:
                yield near, far


def present(states):
    """The states that there are sockets in."""
    return {state: count for state, count in states.items() if count}


def test_connected_sockets_are_established(pair):
    """Only those that are asked for count."""
    near, far = pair

    assert present(socket_states([near.fileno()])) == {"established": 1}
    assert present(socket_states([near.fileno(), far.fileno()])) == {"established": 2}


def test_a_peer_that_closed_leaves_close_wait(pair):
    """What a pool must not keep."""
    near, far = pair
    far.shutdown(socket.SHUT_WR)

    states = present(socket_states([near.fileno(), far.fileno()]))

    assert states == {"close_wait": 1, "fin_wait": 1}


def test_a_socket_that_was_reset_is_still_counted(pair):
    """It is in none of the machine's tables, yet it is held."""
    near, far = pair
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()

    assert present(socket_states([near.fileno()])) == {"other": 1}


def test_asking_leaves_a_socket_open(pair):
    """The descriptor is borrowed."""
    near, far = pair
    socket_states([near.fileno()])

    near.sendall(b"x")

    assert far.recv(1) == b"x"


def test_a_listener_is_none_of_the_states_of_a_connection():
    """It is counted all the same, so that nothing is left out."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        assert present(socket_states([listener.fileno()])) == {"other": 1}


def test_closed_descriptors_are_passed_over(pair):
    """A transport that is gone has descriptor -1."""
    near, _ = pair

    assert present(socket_states([-1, near.fileno()])) == {"established": 1}


def test_every_state_is_named_even_without_sockets():
    """So that no series comes and goes."""
    states = socket_states([])

    assert present(states) == {}
    assert {"established", "close_wait", "fin_wait", "syn_sent"} <= set(states)
