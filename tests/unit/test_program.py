"""How a shell calls the program, wherever it is installed."""

import shlex
import sys

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
