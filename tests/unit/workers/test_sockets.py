"""The listening sockets of workers: one of a port for each, shared where there is one."""

import socket

import pytest

from reuse_proxy.config.address import Address
from reuse_proxy.errors import SettingsError
from reuse_proxy.workers.sockets import WorkerSockets


@pytest.fixture
def sockets():
    """The sockets of three workers."""
    sockets = WorkerSockets(workers=3, backlog=8)
    yield sockets
    sockets.close()


async def test_each_worker_has_a_socket_of_its_own_on_the_same_port(sockets):
    """The kernel spreads connections over them; whoever connects is in one backlog."""
    await sockets.open([Address("127.0.0.1", 0)])

    mine = [sockets.of(index)[0] for index in range(3)]
    (port,) = sockets.ports
    assert {sock.getsockname() for sock in mine} == {("127.0.0.1", port)}
    assert len({sock.fileno() for sock in mine}) == 3
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass


async def test_a_port_that_somebody_serves_is_refused(sockets):
    """Also one that would let others share it."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = Address("127.0.0.1", taken.getsockname()[1])

        with pytest.raises(SettingsError, match="is in use by a process"):
            await sockets.open([address])


async def test_a_unix_socket_is_shared_and_its_file_removed(sockets, tmp_path):
    """Only this user may connect to it."""
    path = tmp_path / "proxy.sock"
    await sockets.open([Address(path=str(path))])

    assert len({sockets.of(index)[0].fileno() for index in range(3)}) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    sockets.close()
    assert not path.exists()


async def test_sockets_that_were_passed_are_shared(sockets):
    """Whichever worker is first accepts."""
    passed = socket.create_server(("127.0.0.1", 0))
    sockets.adopt([passed])

    assert [sockets.of(index) for index in range(3)] == [[passed]] * 3
    assert sockets.ports == {passed.getsockname()[1]}
