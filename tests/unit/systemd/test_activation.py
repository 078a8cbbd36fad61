"""Sockets that were passed: which are taken, for what, and what is wrong with others."""

import contextlib
import fcntl
import os
import socket

import pytest

from reuse_proxy.errors import SettingsError
from reuse_proxy.systemd.activation import Activated

# Far above what the tests have open.
FIRST = 400


@pytest.fixture
def pass_on():
    """Put files under consecutive numbers, and return what tells of them."""
    with contextlib.ExitStack() as stack:

        def make(*files, names=()):
            for at, file in enumerate(files):
                fd = fcntl.fcntl(file.fileno(), fcntl.F_DUPFD, FIRST + at)
                assert fd == FIRST + at
                stack.callback(close_quietly, fd)
            listed = [*names, *[""] * (len(files) - len(names))]
            return {
                "LISTEN_PID": str(os.getpid()),
                "LISTEN_FDS": str(len(listed)),
                "LISTEN_FDNAMES": ":".join(listed),
            }

        yield make


def close_quietly(fd):
    """Close a number that may be closed already."""
    with contextlib.suppress(OSError):
        os.close(fd)


def close(activated):
    """Close what was taken."""
    for sock in [*activated.listen, activated.admin]:
        if sock is not None:
            sock.close()


def take(environ):
    """Take from the tests' first number."""
    return Activated.take(environ, first_fd=FIRST)


def test_nothing_is_taken_where_nobody_passes_anything():
    """An empty environment."""
    assert take({}) == Activated()


def test_what_was_passed_to_another_process_is_not_ours():
    """LISTEN_PID names it; the variables are gone all the same."""
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "2", "PATH": "/bin"}

    assert take(environ) == Activated()
    assert environ == {"PATH": "/bin"}


def test_a_socket_named_admin_is_the_admin_listeners_and_all_others_the_proxys(pass_on):
    """Whatever the others are called, as units call theirs; in their order."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
        socket.create_server(("127.0.0.1", 0)) as three,
    ):
        names = ["reuse-proxy.socket", "admin", "unknown"]
        taken = take(pass_on(one, two, three, names=names))

        at = [sock.getsockname() for sock in taken.listen]
        assert at == [one.getsockname(), three.getsockname()]
        assert taken.admin is not None
        assert taken.admin.getsockname() == two.getsockname()
        assert not any(sock.get_inheritable() for sock in taken.listen)
        close(taken)


def test_sockets_without_names_are_the_proxys(pass_on):
    """As systemd before its version 227 passes them."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        environ = pass_on(one)
        del environ["LISTEN_FDNAMES"]
        taken = take(environ)

        assert len(taken.listen) == 1
        close(taken)


def test_two_admin_sockets_are_one_too_many(pass_on):
    """The sentence names the unit's option."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
        pytest.raises(SettingsError, match="FileDescriptorName=admin"),
    ):
        take(pass_on(one, two, names=["admin", "admin"]))


@pytest.mark.parametrize("count", ["two", "-1", "1.5", "99999999999", "9" * 5000])
def test_a_count_that_is_none_is_refused(count):
    """It is told with its variable."""
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count}

    with pytest.raises(SettingsError, match=f"LISTEN_FDS = '{count}'"):
        take(environ)


def test_a_number_under_which_nothing_is_open_is_refused():
    """It is told with its number."""
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}

    with pytest.raises(SettingsError, match=f"descriptor {FIRST} .* is no socket"):
        take(environ)


def test_a_file_is_refused(pass_on, tmp_path):
    """With its number and its name."""
    with (
        (tmp_path / "file").open("w") as file,
        pytest.raises(SettingsError, match=f"{FIRST}, proxy .* is no socket"),
    ):
        take(pass_on(file, names=["proxy"]))


def test_a_datagram_socket_is_refused(pass_on):
    """Nobody could connect to it."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        pytest.raises(SettingsError, match="not for TCP or UNIX streams"),
    ):
        take(pass_on(sock))


def test_a_socket_that_does_not_listen_is_refused(pass_on):
    """As a unit with Accept=yes would pass it."""
    with (
        socket.socket() as sock,
        pytest.raises(SettingsError, match=r"does not listen; .*Accept=no"),
    ):
        take(pass_on(sock))
