"""`reuse-proxy health`: what container engines are told of a proxy."""

import asyncio
import os
import socket
import subprocess
import sys
import threading

import pytest

from reuse_proxy.cli import main
from reuse_proxy.commands import health
from tests.support.machine import own_address

# What a container may have set for its programs; nothing listens there.
PROXIES = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:1")


async def ask(admin, *flags):
    """Run the command as an engine does; return its code and what it says."""
    environment = {
        **os.environ,
        **PROXIES,
        "REUSE_PROXY_ADMIN": admin,
        # What it must get by without.
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reuse_proxy", "health", *flags),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    lines = err.decode().splitlines()
    imported = {line.split("|")[-1].strip() for line in lines if "import time:" in line}
    said = [line for line in lines if "import time:" not in line]
    assert imported.isdisjoint({"asyncio", "aiohttp", "pydantic", "reuse_proxy.cli"})
    return process.returncode, out.decode() or "\n".join(said)


@pytest.mark.parametrize("listener", ["127.0.0.1:0", "0.0.0.0:0", "unix"])
async def test_a_proxy_that_runs_is_healthy(make_proxy, tmp_path, listener):
    """Wherever its admin listener is, and whomever that allows besides loopback."""
    admin = listener.replace("unix", f"unix:{tmp_path}/admin")
    proxy = await make_proxy(admin=admin, allow_admin="192.0.2.0/24")

    assert await ask(str(proxy.admin_address)) == (0, "ok\n")
    assert await ask(str(proxy.admin_address), "--ready") == (0, "ready\n")


async def test_a_proxy_may_be_asked_at_an_address_that_it_allows_others(make_proxy):
    """The container's own: it is asked from loopback, which is always allowed."""
    proxy = await make_proxy(admin=f"{own_address()}:0", allow_admin="192.0.2.0/24")

    assert await ask(str(proxy.admin_address)) == (0, "ok\n")


async def test_a_proxy_that_stops_lives_but_is_not_ready(proxy):
    """So it is not killed while its exchanges finish, and gets no new ones."""
    await proxy.drain()

    admin = str(proxy.admin_address)
    assert await ask(admin) == (0, "ok\n")
    assert await ask(admin, "--ready") == (
        1,
        f"reuse-proxy: {admin}: 503: stopping",
    )


def test_nothing_that_listens_is_unhealthy(capsys):
    """In one sentence, to where engines keep what a check says."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        admin = "{}:{}".format(*gone.getsockname())

    assert main(["health", "--admin", admin]) == 1
    assert capsys.readouterr().err == (
        f"reuse-proxy: {admin}: no answer: connection refused\n"
    )


def test_what_says_nothing_is_unhealthy(capsys, monkeypatch):
    """A proxy that hangs accepts connections still: its kernel does."""
    monkeypatch.setattr(health, "TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        admin = "{}:{}".format(*silent.getsockname())

        assert main(["health", "--admin", admin]) == 1
    assert "no answer: timed out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-Open\x1bSSH\r\n", "no answer: SSH-2.0-Open?SSH"),
        (b"", "no answer: Remote end closed connection without response"),
        (b"HTTP/1.0 404 Not Found\r\n\r\nno\x1b[2J", "404: no?[2J"),
    ],
)
def test_whatever_else_listens_is_unhealthy(capsys, answer, words):
    """And nothing that it says steers a terminal."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            peer, _ = listener.accept()
            with peer:
                peer.recv(1024)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        admin = "{}:{}".format(*listener.getsockname())
        assert main(["health", "--admin", admin]) == 1
        thread.join()

    assert words in capsys.readouterr().err


def test_an_address_that_is_none_exits_with_2():
    """As with every command; said by the short way that engines take."""
    done = subprocess.run(
        [sys.executable, "-m", "reuse_proxy", "health", "--admin", "nonsense"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.startswith('reuse-proxy: admin = "nonsense" (from --admin)')
    assert done.stderr.count("\n") == 1
