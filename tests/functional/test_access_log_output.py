"""Where the access log of `reuse-proxy serve` goes, and what if that takes nothing."""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys

import pytest

from reuse_proxy.downstream.accesslog import AccessLog
from tests.support.client import Client
from tests.support.logs import told
from tests.support.programs import PROGRAMS, clean_environment
from tests.support.scrape import samples, scrape
from tests.support.serving import serving

# A line is as long as its path: some 300 fill what is held for a log.
LONG = "x" * 4000
LOOP = str(PROGRAMS / "requests_loop.py")
FLAGS = ("--access-log", "json", "--access-log-paths")
LOST = "lines of the access log were lost"
REFUSED = "the access log cannot be written"


@pytest.fixture
def pipe():
    """A pipe that holds a page, of which both ends are open."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    yield reader, writer
    for end in (reader, writer):
        with contextlib.suppress(OSError):  # the test has closed it
            os.close(end)


async def ask(server, origin, path, times=1):
    """Send some requests, one after another; each must be answered."""
    async with Client(server.listening) as client:
        for _ in range(times):
            response = await client.get(f"{origin.url}/{path}")
            assert response.body == b"hello"


async def lost(server):
    """Ask the metric how many lines were lost."""
    text = await scrape(server.admin)
    return samples(text, "access_log_lines_dropped_total")[()]


async def read_until(descriptor, words):
    """Read a pipe until something has come; return all of it."""
    data = b""
    async with asyncio.timeout(10):
        while words not in data:
            data += await asyncio.to_thread(os.read, descriptor, 65536)
    return data


def own(server, words):
    """Pick the lines of standard error with these words."""
    return [line for line in server.log if words in line]


async def test_every_line_is_written_before_the_process_ends(local, tmp_path):
    """Its own log stays apart, on standard error."""
    path = tmp_path / "access.json"
    with path.open("wb") as file:
        async with serving(*FLAGS, stdout=file.fileno()) as server:
            await ask(server, local, "some", times=20)
            server.signal()
            code = await server.exit_code()

    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert [entry["path"] for entry in entries] == ["/some"] * 20
    assert code == 0
    assert own(server, "listening on")
    assert own(server, "some") == []


async def test_a_pipe_that_nobody_reads_holds_up_no_request(local, pipe):
    """Lines are lost and counted; once it is read, it goes on, and that is said."""
    reader, writer = pipe
    async with serving(*FLAGS, stdout=writer) as server:
        os.close(writer)
        await ask(server, local, LONG, times=600)
        dropped = await lost(server)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read_until(reader, b"/the-last"))
            told = await server.logged(LOST)
            await ask(server, local, "the-last")
        at_last = await lost(server)
        server.signal()
        await server.exit_code()

    paths = [json.loads(line)["path"] for line in reading.result().splitlines()]
    assert dropped == at_last > 200
    assert paths == [f"/{LONG}"] * int(600 - dropped) + ["/the-last"]
    assert f"{int(dropped)} {LOST}" in told
    assert len(own(server, LOST)) == 1


async def test_a_process_whose_log_nobody_reads_can_be_stopped(local, pipe):
    """Within about a second; it says what is lost by that."""
    _, writer = pipe
    async with serving(*FLAGS, stdout=writer) as server:
        await ask(server, local, LONG, times=50)
        server.signal()
        async with asyncio.timeout(10):
            code = await server.exit_code()

    assert code == 0
    assert len(own(server, "the access log was not taken")) == 1


async def test_a_reader_that_has_gone_is_told_of_once(local, pipe):
    """Requests are served, and all lines counted as lost."""
    reader, writer = pipe
    async with serving(*FLAGS, stdout=writer) as server:
        os.close(reader)
        await ask(server, local, "one")
        await server.logged(REFUSED)
        for _ in range(3):
            await ask(server, local, "more")
            await asyncio.sleep(0.1)  # each in a batch of its own
        server.signal()
        code = await server.exit_code()

    assert code == 0
    assert len(own(server, f"{REFUSED} (Broken pipe)")) == 1
    assert "4 lines" in own(server, LOST)[0]


async def test_a_full_disk_is_told_of_once(local):
    """As /dev/full is."""
    full = os.open("/dev/full", os.O_WRONLY)
    async with serving(*FLAGS, stdout=full) as server:
        os.close(full)
        await ask(server, local, "one", times=3)
        await server.logged(f"{REFUSED} (No space left on device)")
        await ask(server, local, "two")
        assert await lost(server) >= 3
        server.signal()
        code = await server.exit_code()

    assert code == 0
    assert len(own(server, REFUSED)) == 1


async def test_a_reload_switches_the_log_for_clients_that_are_connected(
    local, tmp_path
):
    """On, to the other form, and off; a request has its line by what holds at its end."""
    settings, path = tmp_path / "settings.toml", tmp_path / "access.log"
    settings.write_text("")
    with path.open("wb") as file:
        async with (
            serving("--config", str(settings), stdout=file.fileno()) as server,
            Client(server.listening) as client,
        ):
            for number, style in enumerate(("off", "text", "json", "off")):
                settings.write_text(f'access_log = "{style}"\n')
                server.signal(signal.SIGHUP)
                await server.logged("reloaded: ")
                await client.get(f"{local.url}/{number}")
                server.log.append("")
            server.signal()
            await server.exit_code()

    text, line = path.read_text().splitlines()
    assert text.split()[1:4] == ["200", "GET", local.url]
    assert told(json.loads(line), "status", "via", "origin") == (
        200,
        "reused",
        local.url,
    )
    assert json.loads(line)["bytes"] == int(text.split()[4])


async def test_a_tunnel_that_was_open_before_the_log_has_no_line(
    tunnelling, origin, access_log
):
    """Nobody has noted what it was; the next one has one."""
    proxy = await tunnelling(origin, log=access_log)
    async with Client(proxy.listening[0]) as before:
        await before.connect(origin.authority)
        proxy.server.log_to(
            AccessLog(
                access_log.lines, style="json", paths=False, clock=proxy.session.clock
            )
        )
        async with Client(proxy.listening[0]) as after:
            await after.connect(origin.authority)

    [entry] = await access_log.all_entries(proxy)
    assert told(entry, "method", "via", "status") == ("CONNECT", "tunnel", 200)


CLOSED = """
import os, sys
os.close(1)
os.execv(sys.executable, [sys.executable, "-m", "reuse_proxy", *sys.argv[1:]])
"""


async def test_a_closed_standard_output_is_no_place_to_log_to(local):
    """Its number may be a socket's by then: nothing is written there."""
    async with serving(*FLAGS, program=("-c", CLOSED)) as server:
        await ask(server, local, "one", times=3)
        server.signal()
        code = await server.exit_code()

    assert code == 0
    assert len(own(server, "standard output is closed")) == 1


async def test_run_leaves_standard_output_to_its_command(local, tmp_path):
    """A setting for all proxies may be in a file or the environment; it is told."""
    report = tmp_path / "report.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reuse_proxy", "run", "--report", str(report), "--"),
        *(sys.executable, LOOP, local.url, "1"),
        env={**clean_environment(), "REUSE_PROXY_ACCESS_LOG": "json"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()

    assert process.returncode == 0
    assert out == b"hello\n"
    assert b"reuse-proxy: access_log = json: nothing is logged" in err
    assert json.loads(report.read_text())["totals"]["requests"] == 1


@pytest.mark.parametrize("value", ["yes", "false", "xml"])
async def test_another_word_is_refused_with_a_sentence(value):
    """Which names the setting, the value, the source, and what is allowed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reuse_proxy", "serve", "--access-log", value),
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()

    assert process.returncode == 2
    assert err.decode() == (
        f'reuse-proxy: access_log = "{value}" (from --access-log) is none of the'
        " choices; give off, text or json.\n"
    )
