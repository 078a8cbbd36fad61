"""`reuse-proxy check`: a table for people, a TOML file for everything else."""

import io

import pytest

from reuse_proxy.commands.check import run
from reuse_proxy.config.loading import load
from reuse_proxy.config.settings import Settings

FLAGS = {
    "listen": ["[::1]:4128", "unix:/run/a.sock"],
    "max_sockets": "8",
    "max_per_origin": "9",
    "deny_private": True,
}


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Tell a lie."""
        return True


@pytest.fixture
def plain(monkeypatch):
    """Have rich write no escape sequences, and lines of 80 columns."""
    monkeypatch.setenv("TERM", "dumb")


@pytest.mark.usefixtures("plain")
def test_a_terminal_gets_a_table():
    """Each setting with its value in human units and its source, then warnings."""
    out = Terminal()

    code = run(load(FLAGS, {}), out)

    lines = [line.replace("│", " ").split() for line in out.getvalue().splitlines()]
    assert code == 0
    assert ["listen", "[::1]:4128,", "unix:/run/a.sock", "--listen"] in lines
    assert ["drain_max_bytes", "16", "MiB", "default"] in lines
    assert lines[-1][:2] == ["warning:", "max_per_origin"]


def test_a_pipe_gets_aligned_lines_without_boxes():
    """One line per setting, fit for grep, then the warnings."""
    out = io.StringIO()

    run(load(FLAGS, {}), out)

    *settings, warning = out.getvalue().splitlines()
    assert len(settings) == len(Settings.model_fields)
    assert {line.index(" = ") for line in settings} == {23}
    assert out.getvalue().isascii()
    assert warning.startswith("# warning: max_per_origin = 9")


def test_what_a_pipe_gets_is_a_config_file(tmp_path):
    """`reuse-proxy check > file` keeps the settings in effect."""
    out, path = io.StringIO(), tmp_path / "reuse-proxy.toml"
    loaded = load(FLAGS, {})

    run(loaded, out)
    path.write_text(out.getvalue())

    assert load({}, {}, path).settings == loaded.settings


def test_standard_output_is_the_default(capsys):
    """The command line names no stream."""
    run(load({}, {}))

    assert capsys.readouterr().out.startswith("listen ")
