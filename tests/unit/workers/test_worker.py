"""What a worker is told, and how it reads its settings."""

import socket

import pytest

from reuse_proxy.config.address import Address
from reuse_proxy.config.loading import load
from reuse_proxy.errors import SettingsError
from reuse_proxy.workers.worker import Assignment, hand_out


def assignment(folder="/nowhere", **values):
    """Tell the second worker something."""
    told = {"index": 1, "admin": f"{folder}/2.sock", "listen": (), "ports": ()}
    return Assignment(folder=str(folder), **{**told, **values})


def test_an_assignment_survives_the_command_line():
    """Whatever is in it."""
    told = assignment(folder='/a "folder"', listen=(7, 8), ports=(4128, 4129))

    assert Assignment.parse(str(told)) == told
    assert told.name == "worker 2"


def test_a_worker_goes_by_its_share_of_what_was_handed_out(tmp_path):
    """Its own admin socket and its part of the caps; the sources are told as they were."""
    loaded = load(
        {"max_sockets": "9", "workers": "2", "admin": "127.0.0.1:9", "max_clients": 70},
        {"REUSE_PROXY_IDLE_TIMEOUT": "7s"},
    )
    hand_out(loaded, str(tmp_path))
    told = assignment(tmp_path)
    read = told.read()

    assert read.settings.max_sockets == 4
    assert read.settings.max_clients == 35
    assert read.settings.idle_timeout == 7
    assert read.settings.admin == Address(path=told.admin)
    assert read.sources == loaded.sources
    assert [path.name for path in tmp_path.iterdir()] == ["settings"]


def test_what_cannot_be_handed_out_is_refused(tmp_path):
    """With the folder, and what to do."""
    with pytest.raises(SettingsError, match="set TMPDIR"):
        hand_out(load({}, {}), str(tmp_path / "none"))


def test_a_worker_takes_its_sockets_and_passes_them_on_to_nobody():
    """They do not block, and it knows of the ports of others."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        copy = sock.dup()
        copy.set_inheritable(True)
        told = assignment(listen=(copy.detach(),), ports=(5,))
        taken = told.activated()
        with taken.listen[0] as listener:
            assert listener.getsockname() == sock.getsockname()
            assert listener.gettimeout() == 0
            assert not listener.get_inheritable()
    assert (taken.admin, taken.ports, taken.supervised) == (None, {5}, True)


def test_a_worker_knows_secrets_that_are_never_shown(tmp_path):
    """The parent proxy's credentials, which no printed setting has."""
    loaded = load({"parent_proxy": "http://me:secret@corp.test:3128"}, {})
    hand_out(loaded, str(tmp_path))

    assert assignment(tmp_path, index=0).read().settings.parent_proxy == (
        loaded.settings.parent_proxy
    )
    assert not any("secret" in row.value for row in loaded.effective())


@pytest.mark.parametrize("text", ["2", "{}", "two", "[]"])
def test_what_no_supervisor_has_said_is_refused(text):
    """A slip of the pen for --workers."""
    with pytest.raises(SettingsError, match="give --workers NUMBER"):
        Assignment.parse(text)


def test_a_worker_whose_supervisor_has_gone_says_so(tmp_path):
    """With its folder; it has just been started, perhaps."""
    with pytest.raises(SettingsError, match="worker 2 finds no settings in"):
        assignment(tmp_path / "gone").read()
