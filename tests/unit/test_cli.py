"""The command line: what it hands on, what it refuses, what it imports."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from reuse_proxy import __version__, commands
from reuse_proxy.cli import main
from reuse_proxy.config.settings import Settings
from reuse_proxy.errors import SettingsError


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    """Keep the settings of whoever runs the tests out of them."""
    monkeypatch.delenv("REUSE_PROXY_CONFIG", raising=False)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"REUSE_PROXY_{name.upper()}", raising=False)


@pytest.fixture
def stand_in(monkeypatch):
    """Return a function that puts another `run` in a command's place."""

    def replace(name, run):
        module = ModuleType(f"reuse_proxy.commands.{name}")
        vars(module)["run"] = run
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(commands, name, module, raising=False)

    return replace


def usage_error(argv, capsys):
    """Run arguments that argparse refuses and return what it says."""
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "check"])
def test_every_setting_is_a_flag_in_the_help(command, capsys):
    """With its description and default."""
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])

    text = " ".join(capsys.readouterr().out.split())
    assert caught.value.code == 0
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in text
        assert " ".join(str(field.description).split()) in text
    assert "--no-deny-private" in text
    assert "(default: 16 MiB)" in text


def test_serve_gets_the_loaded_settings(stand_in):
    """Flags arrive under their settings' names, and the exit code comes back."""
    seen = []
    stand_in("serve", lambda read: seen.append(read()) or 7)

    code = main(
        ["serve", "--listen", "[::1]:1", "--listen", "unix:a", "--max-sockets=9"]
    )

    assert code == 7
    assert [str(address) for address in seen[0].settings.listen] == [
        "[::1]:1",
        "unix:a",
    ]
    assert seen[0].sources["max_sockets"] == "--max-sockets"
    assert seen[0].sources["deny_private"] == "default"


@pytest.mark.parametrize(
    ("flag", "value"), [("--deny-private", True), ("--no-deny-private", False)]
)
def test_a_switch_has_two_flags(stand_in, flag, value):
    """Either one is the setting's source."""
    seen = []
    stand_in("serve", lambda read: seen.append(read()) or 0)

    main(["serve", flag])

    assert seen[0].settings.deny_private is value
    assert seen[0].sources["deny_private"] == flag


def test_settings_come_from_the_environment_and_the_file(
    monkeypatch, tmp_path, stand_in
):
    """`--config` names the file."""
    seen = []
    stand_in("serve", lambda read: seen.append(read()) or 0)
    monkeypatch.setenv("REUSE_PROXY_MAX_CLIENTS", "5")
    path = tmp_path / "a.toml"
    path.write_text("max_queue = 6")

    main(["serve", "--config", str(path)])

    assert seen[0].sources["max_clients"] == "REUSE_PROXY_MAX_CLIENTS"
    assert seen[0].sources["max_queue"] == str(path)


def test_wrong_settings_exit_with_2_and_a_sentence_each(capsys):
    """No traceback, and the program names itself."""
    code = main(["check", "--max-sockets", "many", "--max-queue", "-1"])

    lines = capsys.readouterr().err.splitlines()
    assert code == 2
    assert len(lines) == 2
    assert lines[0].startswith('reuse-proxy: max_sockets = "many" (from --max-sockets)')


def test_a_listener_that_cannot_be_bound_exits_with_2(stand_in, capsys):
    """A SettingsError from within a command is told like any other."""

    def run(loaded):
        raise SettingsError("listen = 127.0.0.1:1 is in use.")

    stand_in("serve", run)

    assert main(["serve"]) == 2
    assert capsys.readouterr().err == "reuse-proxy: listen = 127.0.0.1:1 is in use.\n"


def test_check_prints_the_settings(capsys):
    """The settings in effect, on standard output."""
    assert main(["check", "--max-sockets", "9"]) == 0
    assert "# --max-sockets\n" in capsys.readouterr().out


def test_an_unknown_flag_gets_a_close_match(capsys):
    """Abbreviations are not guessed, only suggested."""
    text = usage_error(["serve", "--max-socket=5"], capsys)

    assert text == (
        "reuse-proxy: unknown argument --max-socket=5; did you mean --max-sockets?\n"
    )


def test_a_flag_without_its_value_is_refused_in_one_line(capsys):
    """Not below a screen of usage."""
    text = usage_error(["serve", "--listen"], capsys)

    assert text == (
        "reuse-proxy: argument --listen: expected one argument;"
        " see reuse-proxy serve --help\n"
    )


def test_an_argument_that_is_no_flag_is_refused(capsys):
    """A command takes flags only."""
    text = usage_error(["serve", "extra"], capsys)

    assert text == (
        "reuse-proxy: unexpected argument extra; settings are flags,"
        " such as --listen.\n"
    )


@pytest.mark.parametrize(
    "argument",
    [
        "--parent-prox=http://alice:hunter2@corp:3128",
        "http://alice:hunter2@corp:3128",
        "alice:hunter2@corp",
    ],
)
@pytest.mark.parametrize("command", ["serve", "report"])
def test_an_argument_that_may_hold_a_password_is_not_told(capsys, command, argument):
    """A flag mistyped, or left out."""
    text = usage_error([command, argument], capsys)

    assert text.startswith("reuse-proxy: un")
    assert "hunter2" not in text
    assert "alice" not in text


def test_a_reader_that_has_had_enough_ends_the_output_quietly():
    """`reuse-proxy check | head -1`, with the pipe closed before the first line."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "reuse_proxy", "check"],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writing)

    assert done.returncode == 141
    assert done.stderr == b""


def test_a_disk_that_is_full_is_told_in_a_sentence():
    """`reuse-proxy check > file`, with no place for the file."""
    for unbuffered in ([], ["-u"]):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(  # noqa: S603 - our own words
                [sys.executable, *unbuffered, "-m", "reuse_proxy", "check"],
                stdout=full,
                stderr=subprocess.PIPE,
                check=False,
            )

        assert done.returncode == 1
        assert done.stderr == (
            b"reuse-proxy: the output cannot be written: No space left on device.\n"
        )


def test_an_unknown_command_is_refused(capsys):
    """The commands are listed."""
    assert "serve" in usage_error(["sevre"], capsys)


def test_no_command_prints_the_help(capsys):
    """On standard error, as nothing was done."""
    assert main([]) == 2
    assert "demo" in capsys.readouterr().err


def test_the_version_is_printed(capsys):
    """And nothing else."""
    with pytest.raises(SystemExit):
        main(["--version"])

    assert capsys.readouterr().out == f"reuse-proxy {__version__}\n"


def test_an_interrupted_demo_exits_with_130(stand_in):
    """As a shell expects of a program that Ctrl-C has ended."""

    def run():
        raise KeyboardInterrupt

    stand_in("demo", run)

    assert main(["demo"]) == 130


def test_the_package_runs_as_a_module_and_imports_rich_for_check_only():
    """`serve` does not wait for what only others need."""
    script = (
        "import runpy, sys, reuse_proxy.cli; assert 'rich' not in sys.modules;"
        "sys.argv = ['reuse-proxy', 'check'];"
        "runpy.run_module('reuse_proxy', run_name='__main__')"
    )

    result = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("listen ")
