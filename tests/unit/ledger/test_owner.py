"""Which process a client is: found by its socket, without its arguments."""

import asyncio
import os
import socket
import subprocess
import sys

import psutil
import pytest

from reuse_proxy.ledger.account import Account
from reuse_proxy.ledger.owner import Owner, Owners, command_of, owner_of
from reuse_proxy.ledger.sockdiag import Ends
from reuse_proxy.tasks import TaskSet

CONNECTS = """
import socket, sys
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
client.recv(1)
"""


@pytest.fixture
def listener():
    """Something to connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def client(listener, tmp_path):
    """Another process that is connected, and our end of its connection."""
    script = tmp_path / "leaky.py"
    script.write_text(CONNECTS)
    port = str(listener.getsockname()[1])
    command = [sys.executable, script, port, "--token=secret"]
    with subprocess.Popen(command) as process:  # noqa: S603 - our own script
        ours, _ = listener.accept()
        with ours:
            yield process.pid, Ends(ours.getpeername(), ours.getsockname())


@pytest.fixture
async def owners():
    """Looks processes up."""
    tasks = TaskSet()
    owners = Owners(tasks=tasks, loop=asyncio.get_running_loop())
    yield owners
    owners.close()
    await tasks.aclose()


async def looked_up(owners, lookups):
    """Wait until so many look-ups have ended."""
    async with asyncio.timeout(10):
        while owners.lookups < lookups:
            await asyncio.sleep(0.005)


def test_the_process_at_the_other_end_of_a_connection_is_found(client):
    """With its program and script, and nothing else of its command line."""
    pid, ends = client

    found = owner_of(ends)

    assert found is not None
    assert found.pid == pid
    assert found.command.endswith(" leaky.py")
    assert "secret" not in found.command


def test_it_is_found_where_the_kernel_is_not_to_be_asked(client, monkeypatch):
    """By psutil's table of connections, as on other systems than Linux."""
    pid, ends = client
    monkeypatch.setattr(sys, "platform", "darwin")

    found = owner_of(ends)

    assert found is not None
    assert found.pid == pid


def test_a_connection_of_nobody_has_no_owner(listener):
    """It has been closed, or is another machine's."""
    assert owner_of(Ends(("127.0.0.1", 1), listener.getsockname())) is None


def test_a_process_that_is_known_needs_no_search():
    """SO_PEERCRED has told its id."""
    found = owner_of(os.getpid())

    assert found == Owner(
        os.getpid(),
        command_of(psutil.Process().name(), psutil.Process().cmdline()),
    )


@pytest.mark.parametrize(
    ("name", "arguments", "command"),
    [
        (
            "python3",
            ["/usr/bin/python3", "-u", "/srv/leaky.py", "--key=1"],
            "python3 leaky.py",
        ),
        ("python3", ["python3", "-m", "pytest", "tests"], "python3 -m pytest"),
        ("python3", ["python3", "-m"], "python3"),
        ("node", ["node", "--inspect", "app.mjs"], "node app.mjs"),
        ("java", ["java", "-Xmx1g", "-jar", "/opt/app.jar", "secret"], "java app.jar"),
        ("curl", ["curl", "-u", "me:secret", "http://a.test/x.php"], "curl"),
        ("leaky", ["/srv/bin/leaky", "-n=100"], "leaky"),
        ("nginx", ["nginx: worker process"], "nginx"),
        ("kworker", [], "kworker"),
        ("x", ["x\x1b[31m\n"], "x?[31m?"),
        ("x" * 100, [], "x" * 80),
    ],
)
def test_a_command_is_its_program_and_script_without_arguments(
    name, arguments, command
):
    """They may be passwords, addresses or anything."""
    assert command_of(name, arguments) == command


async def test_a_look_up_notes_the_process_on_the_account(owners, client):
    """In a thread, so that the loop goes on."""
    account = Account("a", product="", label="a")
    pid, ends = client

    owners.consider(account, ends)
    await looked_up(owners, 1)

    assert list(account.processes.values()) == [pid]


async def test_look_ups_are_a_few_a_second_however_many_clients_come(owners, client):
    """A thousand connections at once are one look-up."""
    account = Account("a", product="", label="a")
    _, ends = client

    for _ in range(1000):
        owners.consider(account, ends)
    await looked_up(owners, 1)
    owners.consider(account, ends)

    assert owners.lookups == 1


async def test_look_ups_stop_when_they_have_used_their_share(owners, client):
    """A hundredth of a core, and what has been saved up."""
    account = Account("a", product="", label="a")
    _, ends = client
    owners._credit = 0.0
    owners._earned_at = asyncio.get_running_loop().time() + 1

    owners.consider(account, ends)

    assert not owners._busy
    assert owners.lookups == 0


async def test_a_process_that_has_gone_is_no_failure(owners):
    """Its account has none, then."""
    account = Account("a", product="", label="a")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await process.wait()

    owners.consider(account, process.pid)
    await looked_up(owners, 1)

    assert account.processes == {}
    assert repr(owners).startswith("<Owners 1 look-ups, ")
