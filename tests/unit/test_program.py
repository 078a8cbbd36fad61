"""How a shell calls the program, wherever it is installed."""

import shlex
import subprocess
import sys

import pytest

from reuse_proxy.program import command
from tests.support.programs import put_on_path


def test_a_program_that_the_shell_finds_has_its_name(tmp_path, monkeypatch):
    """However this one was called."""
    put_on_path(tmp_path, monkeypatch)

    assert command() == "reuse-proxy"


def test_a_program_elsewhere_is_called_as_it_was(tmp_path, monkeypatch):
    """By its whole path, fit to be pasted; or as a module."""
    folder = tmp_path / "my tools"
    folder.mkdir()
    program = put_on_path(folder, monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(program)])
    assert shlex.split(command()) == [str(program)]

    monkeypatch.setattr(sys, "argv", ["__main__.py"])
    assert shlex.split(command()) == [sys.executable, "-m", "reuse_proxy"]


@pytest.mark.parametrize("closed", [(), (0,), (1,), (0, 1), (0, 1, 2)])
def test_a_closed_standard_stream_is_nobody_elses_number(closed):
    """What is opened next gets one above them, and nothing more stays open."""
    program = (
        "import os; from reuse_proxy.program import occupy_standard_streams\n"
        f"for number in {closed}: os.close(number)\n"
        "occupy_standard_streams()\n"
        "os._exit(os.open('/dev/null', os.O_RDONLY))"
    )
    started = [sys.executable, "-c", program]
    done = subprocess.run(started, check=False, stdin=subprocess.DEVNULL)  # noqa: S603

    assert done.returncode == 3
