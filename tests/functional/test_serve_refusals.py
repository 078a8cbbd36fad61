"""`reuse-proxy serve` that cannot start: one sentence, exit code 2, no traceback."""

import asyncio
import socket
import sys

import pytest

from reuse_proxy.config.address import Address
from tests.support.client import Client
from tests.support.serving import serving


async def fails(*arguments):
    """Start a process that is to end at once; return its code and error lines."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reuse_proxy", "serve", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(15):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output.decode().splitlines()


async def one_sentence(*arguments):
    """Start in vain; the only line of output is returned."""
    code, lines = await fails(*arguments)
    assert code == 2, lines
    assert len(lines) == 1, lines
    assert lines[0].startswith("reuse-proxy: ")
    assert "Traceback" not in lines[0]
    return lines[0]


@pytest.mark.parametrize("setting", ["listen", "admin"])
async def test_a_port_in_use_is_said_in_one_sentence(setting):
    """With the address, and how to choose another."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        free = "admin" if setting == "listen" else "listen"

        line = await one_sentence(f"--{setting}", address, f"--{free}", "127.0.0.1:0")

    assert address in line
    assert "in use" in line
    assert f"--{setting}" in line


async def test_a_unix_socket_in_use_is_said_in_one_sentence(local, tmp_path):
    """It is neither taken over nor removed."""
    listener = Address(path=str(tmp_path / "proxy.sock"))
    async with serving("--listen", str(listener)):
        line = await one_sentence("--listen", str(listener), "--admin", "127.0.0.1:0")
        async with Client(listener) as client:
            response = await client.get(f"{local.url}/")

    assert "in use" in line
    assert response.body == b"hello"


async def test_a_file_in_the_way_of_a_unix_socket_is_left_alone(tmp_path):
    """It is somebody's."""
    path = tmp_path / "notes"
    path.write_text("precious")

    line = await one_sentence("--listen", f"unix:{path}", "--admin", "127.0.0.1:0")

    assert f"{path} cannot be listened on (it is a file, and no socket)" in line
    assert path.read_text() == "precious"


async def test_an_address_of_another_machine_is_said_in_one_sentence():
    """Nothing can be bound there."""
    line = await one_sentence(
        *("--listen", "192.0.2.1:0", "--allow-clients", "192.0.2.0/24"),
        *("--admin", "127.0.0.1:0"),
    )

    assert "192.0.2.1" in line


@pytest.mark.parametrize("setting", ["listen", "admin"])
async def test_an_open_listener_without_its_list_is_said_in_one_sentence(setting):
    """The setting that is missing is named."""
    line = await one_sentence(f"--{setting}", "0.0.0.0:0")

    assert ("allow_clients" if setting == "listen" else "allow_admin") in line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("idle_timeuot = 3\n", "idle_timeuot"),
        ('idle_timeout = "soon"\n', "idle_timeout"),
        ("idle_timeout = \n", "line 1"),
        (None, "is not a file"),
    ],
    ids=["unknown", "wrong", "syntax", "missing"],
)
async def test_a_bad_file_is_said_in_one_sentence(tmp_path, content, words):
    """What is wrong, and in which file."""
    path = tmp_path / "reuse.toml"
    if content is not None:
        path.write_text(content)

    line = await one_sentence("--config", str(path))

    assert words in line
    assert "reuse.toml" in line


async def test_a_directory_is_no_config_file(tmp_path):
    """Nor is anything else that cannot be read."""
    line = await one_sentence("--config", str(tmp_path))

    assert str(tmp_path) in line
