"""Reload: a changed file is applied while running, all of it or nothing."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from reuse_proxy.commands import serve
from reuse_proxy.errors import SettingsError
from tests.support.client import Client, request_bytes
from tests.support.machine import own_address
from tests.support.scrape import admin_get, admin_json, samples, scrape
from tests.support.serving import serving, starting


@pytest.fixture
def file(tmp_path):
    """A settings file."""
    path = tmp_path / "settings.toml"
    path.write_text("max_queue = 7\n")
    return path


async def post(server, path="/api/v1/reload", *fields):
    """Ask for a reload."""
    return await admin_get(
        server.admin, path, "Content-Length: 0", *fields, method="POST"
    )


async def setting(server, name):
    """Read a setting that is in effect, with its source."""
    view = (await admin_json(server.admin, "/api/v1/settings"))[name]
    return view["value"], view["source"]


async def test_a_signal_applies_a_changed_file(file):
    """The log tells what has changed, and from what; the settings view agrees."""
    async with serving("--config", str(file)) as server:
        assert await setting(server, "max_queue") == ("7", str(file))
        file.write_text('max_queue = 8\nidle_timeout = "5s"\n')
        server.signal(signal.SIGHUP)
        await server.logged("reloaded: ")

        assert "max_queue = 8 (was 7)" in server.log[-1]
        assert "idle_timeout = 5 s (was 30 s)" in server.log[-1]
        assert await setting(server, "max_queue") == ("8", str(file))
        text = await scrape(server.admin)

    assert samples(text, "config_reloads_total") == {("ok",): 1, ("failed",): 0}
    applied = samples(text, "config_last_reload_success_timestamp_seconds")[()]
    assert 0 <= time.clock_gettime(time.CLOCK_REALTIME) - applied < 20


async def test_a_post_applies_a_changed_file_and_answers_what_has_changed(file):
    """As JSON: each setting with its value, the one before, and its source."""
    async with serving("--config", str(file)) as server:
        file.write_text("max_queue = 9\n")
        answer = await post(server)
        again = await post(server)

    changed = {"name": "max_queue", "was": "7", "now": "9", "source": str(file)}
    assert answer.status == 200
    assert json.loads(answer.body) == {"changed": [changed]}
    assert json.loads(again.body) == {"changed": []}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_queue = 8\nidle_timeout = 'soon'\n", "idle_timeout"),
        ("max_queue = 8\nmax_quack = 1\n", "did you mean max_queue?"),
        ("max_queue = 8\nca_file = '/nowhere.pem'\n", "ca_file"),
        ("max_queue = 8\nintercept = '*'\nca_dir = '/nowhere'\n", "/nowhere"),
        ("max_queue == 8\n", "is not TOML"),
        (f"max_queue = {'[' * 3000}", "nested too deeply"),
        (None, "is not a file"),
    ],
)
async def test_a_bad_file_changes_nothing_and_says_why(file, local, text, said):
    """422 and the sentence; what is good in it is not applied either."""
    async with serving("--config", str(file)) as server:
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
        answer = await post(server)
        value = await setting(server, "max_queue")
        numbers = await scrape(server.admin)
        async with Client(server.listening) as client:
            response = await client.get(f"{local.url}/")
        await server.logged("the settings before are in effect")

    assert answer.status == 422
    assert said in answer.body.decode()
    assert value[0] == "7"
    assert samples(numbers, "config_reloads_total") == {("ok",): 0, ("failed",): 1}
    assert samples(numbers, "config_last_reload_successful") == {(): 0}
    assert response.body == b"hello"
    assert not any("Traceback" in line for line in server.log)


async def test_what_cannot_change_while_running_is_named(file):
    """With its values; what could have changed beside it is not applied either."""
    async with serving("--config", str(file)) as server:
        file.write_text("max_queue = 8\nclient_processes = false\n")
        answer = await post(server)
        value = await setting(server, "max_queue")

    assert answer.status == 422
    said = answer.body.decode()
    assert said.startswith(f"client_processes = false (was true) (from {file})")
    assert "cannot change while running" in said
    assert value[0] == "7"


async def test_a_flag_wins_over_the_file_at_a_reload_too(file):
    """As it did at the start; the file's other settings are applied."""
    async with serving("--config", str(file), "--max-sockets", "50") as server:
        file.write_text("max_sockets = 60\nmax_queue = 8\nlisten = '127.0.0.1:9'\n")
        answer = await post(server)
        caps = [await setting(server, name) for name in ("max_sockets", "max_queue")]

    assert [c["name"] for c in json.loads(answer.body)["changed"]] == ["max_queue"]
    assert caps == [("50", "--max-sockets"), ("8", str(file))]


async def test_a_reload_is_asked_for_from_this_machine_alone():
    """Whoever may read the admin listener may not change anything."""
    address = own_address()
    async with serving(
        "--admin", f"{address}:0", "--allow-admin", f"{address}/32"
    ) as server:
        reads = await admin_get(server.admin, "/healthz", host=str(server.admin))
        changes = await admin_get(
            server.admin, "/api/v1/reload", host=str(server.admin), method="POST"
        )

    assert reads.status == 200
    assert changes.status == 403
    assert b"loopback" in changes.body


async def test_a_page_in_a_browser_cannot_ask_for_a_reload():
    """Neither by a form of another site, nor by GET."""
    async with serving() as server:
        form = await post(server, "/api/v1/reload", "Origin: http://evil.test")
        fetched = await post(server, "/api/v1/reload", "Sec-Fetch-Site: cross-site")
        got = await admin_get(server.admin, "/api/v1/reload")

    assert [form.status, fetched.status, got.status] == [403, 403, 405]


async def test_a_manager_hears_of_a_reload(file, tmp_path, monkeypatch):
    """RELOADING=1, then READY=1 again, whether it succeeded or not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(0)
        monkeypatch.setitem(os.environ, "NOTIFY_SOCKET", str(tmp_path / "notify"))
        loop = asyncio.get_running_loop()
        async with serving("--config", str(file)) as server, asyncio.timeout(20):
            assert (await loop.sock_recv(manager, 999)).startswith(b"READY=1")
            for text in ("max_queue = 8", "max_queue ="):
                file.write_text(text)
                server.signal(signal.SIGHUP)
                told = [await loop.sock_recv(manager, 999) for _ in range(2)]
                assert told[0].startswith(b"RELOADING=1\nMONOTONIC_USEC=")
                assert told[1].startswith(b"READY=1\n")


async def test_a_storm_of_signals_is_not_a_storm_of_reloads(file):
    """Sixty while one is being carried out: one more is enough for all of them."""
    async with serving("--config", str(file)) as server:
        for _ in range(60):
            server.signal(signal.SIGHUP)
        await server.logged("reloaded: ")
        await post(server)  # what was under way is over
        text = await scrape(server.admin)

    assert samples(text, "config_reloads_total")["ok",] < 30


def test_the_signal_is_ignored_until_there_is_something_to_read_again():
    """It would end the process, as it is about to read the settings for the first time."""
    before, seen = signal.getsignal(signal.SIGHUP), []

    def read():
        seen.append(signal.getsignal(signal.SIGHUP))
        raise SettingsError("far enough")

    try:
        with pytest.raises(SettingsError, match="far enough"):
            serve.run(read)
    finally:
        signal.signal(signal.SIGHUP, before)

    assert seen == [signal.SIG_IGN]


async def test_a_signal_during_start_up_or_drain_ends_nothing(file, local):
    """The first is too early to read anything again, the second too late."""
    async with starting("--config", str(file)) as server:
        await imported(server)
        server.signal(signal.SIGHUP)
        await server.ready()
        async with Client(server.listening) as client:
            await client.send(request_bytes(f"{local.url}/wait"))
            await local.until(lambda: len(local.requests) == 1)
            server.signal()
            await server.logged("stopping")
            server.signal(signal.SIGHUP)
            local.release.set()
            response = await client.response()
            code = await server.exit_code()

    assert response.body == b"done"
    assert code == 0
    assert not any("reloaded" in line for line in server.log[-3:])


async def imported(server):
    """Wait until a process ignores the signal, or handles it."""
    async with asyncio.timeout(20):
        while not handles(server.pid, signal.SIGHUP):
            await asyncio.sleep(0.001)


def handles(pid, number):
    """Tell from the kernel whether a signal would not end a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    masks = re.findall(r"Sig(?:Ign|Cgt):\s*([0-9a-f]+)", status)
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


async def test_many_reloads_under_load_lose_no_request(file, local):
    """Twenty of them, every other one of a bad file, while ten clients ask."""
    stop = asyncio.Event()

    async def ask(server):
        async with Client(server.listening) as client:
            answered = 0
            while not stop.is_set():
                response = await client.get(f"{local.url}/bytes/3000")
                assert (response.status, len(response.body)) == (200, 3000)
                answered += 1
            return answered

    async with serving("--config", str(file)) as server, asyncio.TaskGroup() as group:
        asking = [group.create_task(ask(server)) for _ in range(10)]
        for number in range(20):
            file.write_text(f"max_queue = {100 + number}\n" + "?" * (number % 2))
            answer = await post(server)
            assert answer.status == (422 if number % 2 else 200)
        stop.set()

    assert all(task.result() for task in asking)


async def reload_command(server, *arguments):
    """Run `reuse-proxy reload` against a proxy; return code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reuse_proxy", "reload"),
        *(arguments or ("--admin", str(server.admin))),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_command_prints_what_has_changed(file):
    """A line each, and that nothing has where that is so."""
    async with serving("--config", str(file)) as server:
        file.write_text("max_queue = 9\nidle_timeout = '5s'\n")
        first = await reload_command(server)
        second = await reload_command(server)

    assert first == (0, "max_queue = 9 (was 7)\nidle_timeout = 5 s (was 30 s)\n", "")
    assert second == (0, "nothing has changed\n", "")


async def test_the_command_fails_with_the_reasons(file):
    """Exit code 2 and a line for each mistake."""
    async with serving("--config", str(file)) as server:
        file.write_text("max_queue = -9\nidle_timeout = 'soon'\n")
        code, out, err = await reload_command(server)

    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert [line.split(" = ")[0] for line in lines] == [
        "reuse-proxy: max_queue",
        "reuse-proxy: idle_timeout",
    ]


async def test_the_command_says_that_nobody_is_there(local, unused_tcp_port):
    """A closed port, and something else that answers."""
    closed = await reload_command(None, "--admin", f"127.0.0.1:{unused_tcp_port}")
    other = await reload_command(None, "--admin", f"127.0.0.1:{local.port}")

    assert closed[0] == 2
    assert "connection refused" in closed[2]
    assert other[0] == 2
    assert "Traceback" not in closed[2] + other[2]
