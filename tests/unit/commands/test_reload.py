"""`reuse-proxy reload` against proxies of this process, and against others."""

import asyncio
import socket

import pytest

from reuse_proxy.commands.reload import run
from reuse_proxy.config.address import Address
from reuse_proxy.config.loading import load
from reuse_proxy.errors import SettingsError
from reuse_proxy.service import Service
from reuse_proxy.systemd.activation import Activated


@pytest.fixture
async def changing(names):
    """A proxy whose settings are in a dictionary that the test changes."""
    given = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0"}
    service = Service(load(given, {}), resolver=names, read=lambda: load(given, {}))
    async with service:
        yield service, given


async def test_it_prints_what_has_changed(changing, capsys):
    """A line for each setting; or that nothing has."""
    service, given = changing
    given["max_queue"] = "9"

    codes = [await asyncio.to_thread(run, service.admin_address) for _ in range(2)]

    assert codes == [0, 0]
    out = capsys.readouterr().out
    assert out == "max_queue = 9 (was 1024)\nnothing has changed\n"


async def test_it_fails_with_every_reason(changing):
    """One sentence for each wrong setting."""
    service, given = changing
    given |= {"max_queue": "-1", "idle_timeout": "soon"}

    with pytest.raises(SettingsError) as caught:
        await asyncio.to_thread(run, service.admin_address)

    lines = str(caught.value).splitlines()
    assert [line.split(" = ")[0] for line in lines] == ["max_queue", "idle_timeout"]


async def test_what_is_no_admin_listener_is_told_from_one(make_origin, changing):
    """An origin that answers 200 with something else, and the proxy's own port."""
    origin = await make_origin(name="127.0.0.1")
    service, _ = changing

    for address in (Address("127.0.0.1", origin.port), service.listening[0]):
        with pytest.raises(SettingsError, match="no admin listener of reuse-proxy"):
            await asyncio.to_thread(run, address)


async def test_a_service_listens_on_sockets_that_it_is_given(names):
    """Both listeners; the addresses are the sockets', and they are let go of at once."""
    proxy = socket.create_server(("127.0.0.1", 0))
    admin = socket.create_server(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in (proxy, admin)]
    service = Service(
        load({}, {}), resolver=names, activated=Activated((proxy,), admin)
    )
    async with service:
        found = [service.listening[0].port, service.admin_address.port]
        await service.drain()

        assert found == ports
        assert (proxy.fileno(), admin.fileno()) == (-1, -1)


async def test_a_socket_beyond_loopback_needs_its_list(names):
    """As an address of the settings would."""
    proxy = socket.create_server(("0.0.0.0", 0))  # noqa: S104 - it is refused
    with proxy:
        service = Service(
            load({"admin": "127.0.0.1:0"}, {}),
            resolver=names,
            activated=Activated((proxy,)),
        )
        with pytest.raises(SettingsError, match="set allow_clients"):
            await service.__aenter__()
