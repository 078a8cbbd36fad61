"""`reuse-proxy serve` as a process: how it starts, works and stops."""

import asyncio
import contextlib
import resource
import signal
import socket

import h11
import pytest

from reuse_proxy.config.address import Address
from tests.support.client import Client, request_bytes
from tests.support.scrape import admin_get, samples, scrape
from tests.support.serving import serving


async def held(server, origin):
    """Start an exchange that ends when the origin is released."""
    client = await Client(server.listening).__aenter__()
    await client.send(request_bytes(f"{origin.url}/hold"))
    await client.reader.readuntil(b"\r\n\r\nab")
    return client


async def test_it_serves_and_is_ready_once_it_says_so(local):
    """The ready line names both addresses; a request goes through."""
    async with serving() as server, Client(server.listening) as client:
        response = await client.get(f"{local.url}/")
        ready = await admin_get(server.admin, "/readyz")

    assert response.body == b"hello"
    assert ready.status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_exchanges_finish_and_numbers_be_read(local, number):
    """Not ready, but alive; no new client; the held response comes whole."""
    async with serving() as server:
        client = await held(server, local)
        server.signal(number)
        await server.logged("stopping")

        ready = await admin_get(server.admin, "/readyz")
        text = await scrape(server.admin)
        with pytest.raises(ConnectionRefusedError):
            await Client(server.listening).__aenter__()
        local.release.set()
        rest = await client.until_closed()
        code = await server.exit_code()
        await client.close()

    assert ready.status == 503
    assert samples(text, "upstream_connections")[local.url, "active"] == 1
    assert rest == b"cd"
    assert code == 0


async def test_a_signal_lets_uploads_finish(local):
    """What is still to come of a request's body belongs to an exchange, too."""
    async with serving() as server, Client(server.listening) as client:
        url = f"{local.url}/echo"
        length = "Content-Length: 6"
        await client.send(request_bytes(url, length, method="POST", body=b"abc"))
        await local.until(lambda: local.accepted == 1)
        server.signal()
        await server.logged("stopping")
        await client.send(b"def")

        response = await client.response("POST")
        code = await server.exit_code()

    assert response.body == b"abcdef"
    assert response.value("Connection") == "close"
    assert code == 0


async def test_a_signal_closes_idle_clients(local):
    """They would hold up the end for nothing."""
    async with serving() as server, Client(server.listening) as client:
        await client.get(f"{local.url}/")
        server.signal()

        rest = await client.until_closed()
        code = await server.exit_code()

    assert rest == b""
    assert code == 0


async def test_a_signal_lets_a_client_finish_its_request(local):
    """Its response tells it that the connection ends."""
    async with serving() as server, Client(server.listening) as client:
        await client.send(request_bytes(f"{local.url}/wait"))
        await local.until(lambda: bool(local.requests))
        server.signal()
        await server.logged("stopping")
        local.release.set()

        response = await client.response()
        code = await server.exit_code()

    assert response.body == b"done"
    assert response.value("Connection") == "close"
    assert code == 0


async def test_a_second_signal_ends_at_once(local):
    """Nobody needs to wait for shutdown_timeout; the code tells what it cost."""
    async with serving("--shutdown-timeout", "1000") as server:
        client = await held(server, local)
        server.signal()
        await server.logged("stopping")
        server.signal()

        rest = await client.until_closed()
        code = await server.exit_code()
        await client.close()

    assert rest == b""
    assert code == 1
    assert any("cut off" in line for line in server.log)


async def test_shutdown_is_bounded_in_time(local):
    """The exchange does not end, the process does, and its code is 1."""
    async with serving("--shutdown-timeout", "0.1") as server:
        client = await held(server, local)
        server.signal()

        code = await server.exit_code()
        await client.close()

    assert code == 1


async def test_a_unix_listener_has_a_file_while_it_lives(local, tmp_path):
    """For its user only; gone at the end."""
    path, admin = tmp_path / "proxy.sock", tmp_path / "admin.sock"
    flags = ("--listen", f"unix:{path}", "--admin", f"unix:{admin}")
    async with serving(*flags) as server:
        mode = path.stat().st_mode
        ready = await admin_get(server.admin, "/readyz")
        async with Client(Address(path=str(path))) as client:
            response = await client.get(f"{local.url}/")
        server.signal()
        code = await server.exit_code()

    assert response.body == b"hello"
    assert mode & 0o777 == 0o600
    assert code == 0
    assert ready.status == 200
    assert not path.exists()
    assert not admin.exists()


async def test_a_unix_listener_takes_over_what_a_crash_left(local, tmp_path):
    """A socket file that nobody listens on is in nobody's way."""
    path = tmp_path / "proxy.sock"
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))

    listener = Address(path=str(path))
    async with serving("--listen", str(listener)), Client(listener) as client:
        response = await client.get(f"{local.url}/")

    assert response.body == b"hello"


async def test_a_successor_may_listen_while_a_unix_listener_drains(local, tmp_path):
    """What ends first does not take the other's file away."""
    listener = Address(path=str(tmp_path / "proxy.sock"))
    flags = ("--listen", str(listener))
    async with contextlib.AsyncExitStack() as stack:
        old = await stack.enter_async_context(serving(*flags))
        old.listening = listener
        client = await held(old, local)
        old.signal()
        await old.logged("stopping")
        await local.until(lambda: not (tmp_path / "proxy.sock").exists())

        await stack.enter_async_context(serving(*flags))
        local.release.set()
        rest = await client.until_closed()
        code = await old.exit_code()
        await client.close()
        async with Client(listener) as successor:
            response = await successor.get(f"{local.url}/")

    assert (rest, code) == (b"cd", 0)
    assert response.body == b"hello"


async def served_in_the_end(server, origin):
    """Try until a request goes through; libuv resets whom it cannot accept."""
    async with asyncio.timeout(15):
        while True:
            with contextlib.suppress(ConnectionError, h11.RemoteProtocolError):
                async with Client(server.listening) as client:
                    return await client.get(f"{origin.url}/")


async def test_s16_running_out_of_open_files_is_survived(local):
    """Clients without end take every one; once they leave, all is well."""
    async with serving("--max-sockets", "4") as server:
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (48, 48))
        crowd = [await Client(server.listening).__aenter__() for _ in range(64)]
        for client in crowd:
            client.reset()

        response = await served_in_the_end(server, local)
        server.signal()
        code = await server.exit_code()

    assert response.body == b"hello"
    assert code == 0


WITHOUT_UVLOOP = """
import sys
sys.modules["uvloop"] = None
from reuse_proxy.cli import main
sys.exit(main())
"""


async def test_s16_clients_past_the_open_files_limit_do_not_flood_the_log(local):
    """The loop of asyncio logs a traceback for each place in the backlog: 4096 a second."""
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            serving(program=("-c", WITHOUT_UVLOOP))
        )
        server.forbid_more_files()
        for _ in range(4):
            await stack.enter_async_context(Client(server.listening))
        await server.logged("similar lines left out")  # a second has passed
        log = "".join(server.log)
        server.signal()
        await server.exit_code()

    assert log.count("Traceback") <= 2
    assert len(server.log) < 40


async def test_s16_a_dial_without_a_free_descriptor_is_answered_with_503(local):
    """The client may come again; the sentence names the limit."""
    # Looking up the client's process opens files, which are closed again.
    async with (
        serving("--no-client-processes") as server,
        Client(server.listening) as client,
    ):
        await client.get("http://127.0.0.1:22/")  # denied, but now it is accepted
        server.forbid_more_files()

        response = await client.get(f"{local.url}/")

    assert response.status == 503
    assert response.value("Retry-After") == "1"
    assert b"ulimit -n" in response.body


SILENT_NAMES = """
import socket, sys, time
socket.getaddrinfo = lambda *_, **__: time.sleep(60)
from reuse_proxy.cli import main
sys.exit(main())
"""


async def test_names_that_hang_hold_up_neither_others_nor_the_end(local):
    """Six look-ups without an answer; then an address is dialled, and we stop."""
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(program=("-c", SILENT_NAMES)))
        for number in range(6):
            client = await stack.enter_async_context(Client(server.listening))
            await client.send(request_bytes(f"http://silent{number}.test/"))
        async with Client(server.listening) as client:
            response = await client.get(f"{local.url}/")
        server.signal()
        await server.logged("stopping")
        server.signal()
        async with asyncio.timeout(5):
            code = await server.exit_code()

    assert response.body == b"hello"
    assert code == 1
