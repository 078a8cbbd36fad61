"""The life of workers: killed, restarted, reloaded, drained, never orphaned."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket

import h11
import pytest

from tests.support.activation import activated, address_of, listening
from tests.support.client import Client, request_bytes
from tests.support.scrape import admin_get, admin_json, samples, scrape
from tests.support.serving import serving
from tests.support.workers import (
    environment_of,
    folder_of,
    gone,
    serving_again,
    worker_pids,
)

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

TWO = ("--workers", "2")


@pytest.fixture
def file(tmp_path):
    """A settings file."""
    path = tmp_path / "settings.toml"
    path.write_text("workers = 2\nmax_per_origin = 6\n")
    return path


async def post_reload(server):
    """Ask for a reload."""
    return await admin_get(
        server.admin, "/api/v1/reload", "Content-Length: 0", method="POST"
    )


class Newcomers:
    """Clients with a connection for each request, all the time."""

    def __init__(self, server, url):
        self._server, self._url = server, url
        self._stop = asyncio.Event()
        self.answered = self.lost = 0

    @contextlib.asynccontextmanager
    async def coming(self, *, clients):
        """Let them come while the block runs; one that is refused fails the test."""
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(self._come(), name=f"newcomer {number}")
            yield
            self._stop.set()

    async def _come(self):
        while not self._stop.is_set():
            async with Client(self._server.listening) as client:
                try:
                    assert (await client.get(self._url)).body == b"hello"
                    self.answered += 1
                except (ConnectionResetError, BrokenPipeError, h11.RemoteProtocolError):
                    self.lost += 1

    async def more(self, requests):
        """Wait until so many more have been answered."""
        target = self.answered + requests
        async with asyncio.timeout(20):
            while self.answered < target:
                await asyncio.sleep(0.01)


async def test_a_worker_that_is_killed_refuses_nobody_and_is_replaced(local):
    """Only what it had accepted is lost; no counter falls, and the restart is counted."""
    async with serving(*TWO) as server:
        newcomers = Newcomers(server, f"{local.url}/")
        async with newcomers.coming(clients=8):
            await newcomers.more(200)
            before = await scrape(server.admin)
            pids = await worker_pids(server)
            os.kill(pids[0], signal.SIGKILL)
            await newcomers.more(50)
            between = await scrape(server.admin)
            after = await serving_again(server, restarts=1)
            await newcomers.more(200)
        last = await scrape(server.admin)
        assert (await worker_pids(server))[1] == pids[1]
        server.signal()
        assert await server.exit_code() == 0

    assert newcomers.lost <= 8
    for name in (
        "requests_total",
        "upstream_connections_opened_total",
        "client_connections_opened_total",
        "client_requests_per_connection_count",
        "upstream_connect_seconds_bucket",
    ):
        seen = [samples(text, name) for text in (before, between, after, last)]
        for earlier, later in itertools.pairwise(seen):
            assert all(later[labels] >= value for labels, value in earlier.items())
    assert samples(last, "worker_restarts_total") == {(): 1}
    assert samples(last, "workers") == {("serving",): 2, ("starting",): 0}
    assert any("worker 1 has ended (signal 9)" in line for line in server.log)


async def test_who_connects_while_no_worker_lives_is_served_by_the_next(local):
    """Both are killed: the connection waits in a backlog that is the supervisor's."""
    async with serving(*TWO) as server:
        pids = await worker_pids(server)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        await gone(pids)
        ready = await admin_get(server.admin, "/readyz")
        async with Client(server.listening) as client:
            body = (await client.get(f"{local.url}/")).body

    assert ready.status == 503
    assert body == b"hello"


async def test_a_supervisor_that_is_killed_leaves_nothing(local):
    """Workers finish what they have begun, and end; their folder goes with them."""
    async with serving(*TWO) as server, Client(server.listening) as client:
        pids = await worker_pids(server)
        folder = folder_of(pids[0])
        assert folder.exists()
        await client.send(request_bytes(f"{local.url}/hold"))
        await local.until(lambda: bool(local.requests))
        os.kill(server.pid, signal.SIGKILL)
        await gone([server.pid])
        local.release.set()
        body = (await client.response()).body
        await gone(pids)

    assert body == b"abcd"
    assert not folder.exists()


async def test_a_signal_drains_all_workers(local):
    """A request under way in each is finished; new connections are refused."""
    async with serving(*TWO) as server, contextlib.AsyncExitStack() as stack:
        pids = await worker_pids(server)
        folder = folder_of(pids[0])
        clients = [
            await stack.enter_async_context(Client(server.listening)) for _ in range(12)
        ]
        for client in clients:
            await client.send(request_bytes(f"{local.url}/hold"))
        await local.until(lambda: len(local.requests) == 12)
        server.signal()
        while "stopping: 12 clients" not in server.log[-1]:
            assert await server.line()
        await refusing(server.listening)
        ready = await admin_get(server.admin, "/readyz")
        local.release.set()
        bodies = [(await client.response()).body for client in clients]
        code = await server.exit_code()

    assert bodies == [b"abcd"] * 12
    assert ready.status == 503
    assert code == 0, server.log
    await gone(pids)
    assert not folder.exists()


async def refusing(address):
    """Wait until connections are refused."""
    async with asyncio.timeout(10):
        while True:
            try:
                async with Client(address):
                    await asyncio.sleep(0.01)
            except ConnectionError:
                return


async def test_a_second_signal_ends_all_workers_at_once(local):
    """Exit code 1: something was cut off."""
    async with serving(*TWO) as server, Client(server.listening) as client:
        pids = await worker_pids(server)
        await client.send(request_bytes(f"{local.url}/hold"))
        await local.until(lambda: bool(local.requests))
        server.signal()
        while "stopping" not in server.log[-1]:
            assert await server.line()
        server.signal()
        code = await server.exit_code()

    assert code == 1
    await gone(pids)


async def test_ctrl_c_reaches_the_supervisor_alone(local):
    """A terminal signals a whole group; the request under way is finished all the same."""
    async with (
        serving(*TWO, own_group=True) as server,
        Client(server.listening) as client,
    ):
        await client.send(request_bytes(f"{local.url}/hold"))
        await local.until(lambda: bool(local.requests))
        os.killpg(server.pid, signal.SIGINT)
        while "stopping" not in server.log[-1]:
            assert await server.line()
        local.release.set()
        body = (await client.response()).body
        code = await server.exit_code()

    assert body == b"abcd"
    assert code == 0, server.log


async def test_a_signal_to_every_process_drains_too(local):
    """As a service manager sends it: workers hear it twice, and cut nothing off."""
    async with serving(*TWO) as server, Client(server.listening) as client:
        await client.send(request_bytes(f"{local.url}/hold"))
        await local.until(lambda: bool(local.requests))
        for pid in (*await worker_pids(server), server.pid):
            os.kill(pid, signal.SIGTERM)
        while "stopping" not in server.log[-1]:
            assert await server.line()
        local.release.set()
        body = (await client.response()).body
        code = await server.exit_code()

    assert body == b"abcd"
    assert code == 0, server.log


async def caps(server, local):
    """Have every worker dial; return what each of them goes by, by its number."""
    async with asyncio.timeout(10):
        while True:
            async with Client(server.listening) as client:
                await client.get(f"{local.url}/")
            pools = await admin_json(server.admin, "/api/v1/pools")
            found = {row["worker"]: row["max_per_origin"] for row in pools["origins"]}
            if len(found) == 2:
                return found


async def test_a_reload_reaches_all_workers_or_none(file, local):
    """What is wrong changes nothing; what is divided is divided anew."""
    async with serving("--config", str(file)) as server:
        began = await caps(server, local)
        file.write_text("workers = 2\nmax_per_origin = 9\n")
        done = await post_reload(server)
        then = await caps(server, local)
        refused = []
        for text in (
            "workers = 2\nmax_per_origin = 1\n",
            "workers = 3\n",
            "workers = 2\nca_file = '/nowhere.pem'\n",
        ):
            file.write_text(text)
            refused.append(await post_reload(server))
        last = await caps(server, local)
        view = await admin_json(server.admin, "/api/v1/settings")
        text = await scrape(server.admin)

    assert began == {1: 3, 2: 3}
    assert then == last == {1: 5, 2: 4}
    changed = {"name": "max_per_origin", "was": "6", "now": "9", "source": str(file)}
    assert json.loads(done.body) == {"changed": [changed]}
    assert [answer.status for answer in refused] == [422] * 3
    for answer, words in zip(
        refused, ("too small", "cannot change while running", "ca_file"), strict=True
    ):
        assert words in answer.body.decode()
    assert view["max_per_origin"]["value"] == "9"
    assert samples(text, "config_reloads_total") == {("ok",): 1, ("failed",): 3}


async def test_a_restarted_worker_goes_by_the_settings_in_effect(file, local):
    """Not by a file that nobody has asked to be read, or that is broken."""
    async with serving("--config", str(file)) as server:
        file.write_text("workers = 2\nmax_per_origin = 9\n")
        server.signal(signal.SIGHUP)
        while "reloaded: " not in server.log[-1]:
            assert await server.line()
        file.write_text("max_per_origin ==\n")
        for pid in await worker_pids(server):
            os.kill(pid, signal.SIGKILL)
        await serving_again(server, restarts=2)
        found = await caps(server, local)

    assert found == {1: 5, 2: 4}


async def test_passed_sockets_are_shared_and_outlive_the_supervisor(local):
    """Workers take turns; who connects after the end waits for the next one."""
    with listening() as proxy, listening() as admin:
        names = ("proxy", "admin")
        async with activated([proxy, admin], names, *TWO) as server:
            await server.ready()
            assert sum((await caps(server, local)).values()) == 32
            os.kill((await worker_pids(server))[0], signal.SIGKILL)
            await serving_again(server, restarts=1)
            server.signal()
            assert await server.exit_code() == 0
        async with Client(address_of(proxy)) as client:
            await client.send(request_bytes(f"{local.url}/"))
            async with activated([proxy, admin], names) as server:
                await server.ready()
                body = (await client.response()).body

    assert body == b"hello"


async def test_what_keeps_a_worker_from_starting_is_said_once():
    """Exit code 2 and its sentence; the others are not even begun."""
    with listening() as admin, listening("0.0.0.0") as proxy:  # noqa: S104 - refused
        async with activated([proxy, admin], ("proxy", "admin"), *TWO) as server:
            code = await server.exit_code()

    assert code == 2
    assert sum("allow_clients" in line for line in server.log) == 1
    assert not any("Traceback" in line for line in server.log)


async def test_a_manager_hears_of_the_supervisor_alone(tmp_path):
    """It is ready once all workers are, which do not know of the manager."""
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        listening() as proxy,
        listening() as admin,
    ):
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(0)
        environment = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "100000000",
        }
        async with activated(
            [proxy, admin], ("proxy", "admin"), *TWO, environment=environment
        ) as server:
            async with asyncio.timeout(20):
                loop = asyncio.get_running_loop()
                said = await loop.sock_recv(manager, 4096)
                fed = await loop.sock_recv(manager, 4096)
            await server.ready()
            pids = await worker_pids(server)
            told = [environment_of(pid) for pid in pids]
            with pytest.raises(BlockingIOError):
                manager.recv(4096)

    assert said.startswith(b"READY=1\nSTATUS=listening on 127.0.0.1:")
    assert fed == b"WATCHDOG=1"
    assert len(told) == 2
    assert not any(str(tmp_path).encode() in variables for variables in told)
    assert not any(b"LISTEN_FDS" in variables for variables in told)
