"""`reuse-proxy ca`: made, shown and bundled, by hand and by flags."""

import argparse
import io
import os
import re
import shlex
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from reuse_proxy.ca.issue import new_key
from reuse_proxy.ca.store import create, load
from reuse_proxy.ca.trust import count
from reuse_proxy.commands.ca import add_arguments, bundle, init, show
from reuse_proxy.errors import SettingsError
from tests.support.programs import put_on_path
from tests.unit.ca.making import IS_CA, self_signed


@pytest.fixture
def folder(tmp_path):
    """A folder that a shell wants quoted."""
    return tmp_path / "my ca"


@pytest.fixture
def roots(tmp_path):
    """The roots of a system that trusts one other."""
    path = tmp_path / "roots.pem"
    path.write_bytes(create(tmp_path / "other").pem.replace(b"\n", b"\r\n"))
    return path


@pytest.fixture(autouse=True)
def program(tmp_path, monkeypatch):
    """A program that the shell finds."""
    return put_on_path(tmp_path, monkeypatch)


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Run the flags of a command line, at home in an empty folder."""
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(*arguments):
        parser = argparse.ArgumentParser(prog="reuse-proxy ca")
        add_arguments(parser)
        parsed = parser.parse_args(arguments)
        return parsed.run(parsed)

    return run


def test_init_prints_what_it_made_and_the_next_two_commands(folder):
    """Fit to be pasted: paths are whole and quoted."""
    out = io.StringIO()

    code = init(folder, days=30, permit=["a.example", "10.0.0.0/8"], out=out)

    text, made = out.getvalue(), load(folder)
    assert code == 0
    assert f"SHA-256 {made.fingerprint}\n" in text
    assert f"{made.expires_at:%Y-%m-%d %H:%M} UTC (29 days left)\n" in text
    assert "signs for    a.example, 10.0.0.0/8 only\n" in text
    assert f"  {folder / 'ca.pem'}\n" in text
    after, before = f"--ca-dir '{folder}'", "  reuse-proxy ca "
    assert text.splitlines()[-2:] == [
        f"{before}bundle {after} --output '{folder}/bundle.pem'",
        f"{before}show {after}",
    ]


def test_init_does_not_replace_by_chance(folder):
    """The sentence says how it would."""
    init(folder, out=io.StringIO())
    before = load(folder).fingerprint

    advice = f"run: reuse-proxy ca init --replace --ca-dir '{folder}'$"
    with pytest.raises(SettingsError, match=advice):
        init(folder, out=io.StringIO())
    assert load(folder).fingerprint == before
    init(folder, replace=True, out=io.StringIO())
    assert load(folder).fingerprint != before


def test_a_replacement_keeps_the_names_unless_others_are_given(folder):
    """One for every host, in silence, is nobody's wish."""
    first, second, third = io.StringIO(), io.StringIO(), io.StringIO()
    kept = "It keeps the names of the old CA; to drop them, delete its folder first.\n"
    restart = "A proxy that is running keeps the old CA until it is restarted.\n"

    init(folder, permit=["a.example", "10.0.0.0/8"], out=first)
    init(folder, replace=True, out=second)
    assert load(folder).scope.permitted == ("a.example", "10.0.0.0/8")
    init(folder, permit=["b.example"], replace=True, out=third)

    assert load(folder).scope.permitted == ("b.example",)
    assert "signs for    a.example, 10.0.0.0/8 only\n" in second.getvalue()
    texts = [out.getvalue() for out in (first, second, third)]
    assert [kept in text for text in texts] == [False, True, False]
    assert [restart in text for text in texts] == [False, True, True]


def test_a_replacement_of_what_has_no_names_has_none(folder):
    """Nothing is said of them then."""
    out = io.StringIO()
    init(folder, out=io.StringIO())
    (folder / "ca.pem").write_text("x")

    init(folder, replace=True, out=out)

    assert load(folder).scope.permitted == ()
    assert "keeps the names" not in out.getvalue()


def test_what_excludes_names_is_not_replaced_by_what_does_not(folder):
    """A CA for more hosts than before is nobody's wish either."""
    init(folder, out=io.StringIO())
    excluding = x509.NameConstraints(None, [x509.DNSName("a.example")])
    certificate = self_signed(new_key(), IS_CA, excluding)
    (folder / "ca.pem").write_bytes(certificate)

    with pytest.raises(SettingsError, match=r"excludes a\.example.* say with --permit"):
        init(folder, replace=True, out=io.StringIO())

    assert (folder / "ca.pem").read_bytes() == certificate
    assert init(folder, replace=True, permit=["b.example"], out=io.StringIO()) == 0


def test_the_commands_that_are_printed_can_be_called(folder, program, monkeypatch):
    """Though the program may be where no shell looks for it."""
    create(folder)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "argv", [str(program)])
    out = io.StringIO()

    show(folder, out)

    (line,) = [line for line in out.getvalue().splitlines() if " ca bundle" in line]
    assert line.startswith(f"{program} ca bundle --ca-dir ")


def test_the_commands_name_the_folder_when_the_usual_one_is_another(
    command, tmp_path, monkeypatch, capsys
):
    """By the environment, which a printed command would be read with."""
    usual = tmp_path / ".local/share/reuse-proxy/ca"
    monkeypatch.setenv("REUSE_PROXY_CA_DIR", str(tmp_path / "elsewhere"))

    assert command("init", "--ca-dir", str(usual)) == 0

    assert capsys.readouterr().out.endswith(f"  reuse-proxy ca show --ca-dir {usual}\n")


def test_show_tells_where_other_users_can_read_the_bundle(folder):
    """Its usual place is in a folder of the owner's alone."""
    create(folder)
    out = io.StringIO()

    show(folder, out)

    assert re.search("^# Other users .* --output /", out.getvalue(), re.MULTILINE)


def test_show_prints_the_authority_and_a_line_for_each_client(folder):
    """Every line that is no fact and no comment is a command."""
    made, out = create(folder), io.StringIO()

    code = show(folder, out)

    facts, _, commands = out.getvalue().partition("\n\n")
    typed = [line for line in commands.splitlines() if line and line[0] != "#"]
    assert code == 0
    assert made.certificate.subject.rfc4514_string() in facts
    assert made.fingerprint in facts
    assert re.search(r"^signs for +every host$", facts, re.MULTILINE)
    assert re.search(r"^key +ECDSA P-256$", facts, re.MULTILINE)
    assert typed[0] == (
        f"reuse-proxy ca bundle --ca-dir '{folder}' --output '{folder}/bundle.pem'"
    )
    assert f"export CURL_CA_BUNDLE='{folder}/bundle.pem'" in typed
    assert f"export NODE_EXTRA_CA_CERTS='{folder}/ca.pem'" in typed
    assert all(shlex.split(line) for line in typed)


@pytest.mark.parametrize(
    ("days_ago", "word"), [(100, "EXPIRED"), (-100, "NOT VALID YET")]
)
def test_show_shows_what_is_not_valid_too(folder, days_ago, word):
    """How else would one see what is wrong with it."""
    made = create(folder, days=30, now=datetime.now(UTC) - timedelta(days=days_ago))
    out = io.StringIO()

    show(folder, out)

    assert made.fingerprint in out.getvalue()
    assert re.search(f"^valid until .*UTC, {word};", out.getvalue(), re.MULTILINE)
    if word == "EXPIRED":
        assert f"reuse-proxy ca init --replace --ca-dir '{folder}'\n" in out.getvalue()
    with pytest.raises(SettingsError):
        bundle(folder, out=out)


def test_a_bundle_goes_to_standard_output(folder, roots, capsys):
    """Nothing else does; a former authority of ours is left out."""
    made = create(folder)

    code = bundle(folder, roots=roots)

    assert (code, capsys.readouterr()) == (0, (made.pem.decode(), ""))


def test_a_bundle_goes_to_a_file_that_all_may_read(folder, tmp_path, capsys):
    """One line on standard error counts what is in it."""
    made, target = create(folder), tmp_path / "bundle.pem"
    target.write_bytes(b"old")
    target.chmod(0o600)

    code = bundle(folder, output=target)

    written = target.read_bytes()
    assert code == 0
    assert written.startswith(made.pem)
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert capsys.readouterr() == (
        "",
        f"reuse-proxy: wrote {count(written)} certificates to {target}\n",
    )


def test_a_bundle_that_cannot_be_written_is_told(folder, tmp_path):
    """By the path that was asked for."""
    create(folder)

    with pytest.raises(SettingsError, match=f"^{tmp_path}/no/bundle.pem cannot"):
        bundle(folder, output=tmp_path / "no" / "bundle.pem")


def test_a_bundle_goes_through_a_link_and_into_a_pipe(folder, tmp_path):
    """Neither becomes a file in its place."""
    create(folder)
    real, link = tmp_path / "real.pem", tmp_path / "link.pem"
    pipe = tmp_path / "pipe"
    real.write_text("old")
    link.symlink_to(real)
    os.mkfifo(pipe)

    bundle(folder, output=link, roots=folder / "ca.pem")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    bundle(folder, output=pipe, roots=folder / "ca.pem")

    assert link.is_symlink()
    assert real.read_bytes() == os.read(reader, 65536) == load(folder).pem
    assert pipe.is_fifo()
    os.close(reader)


def test_a_link_to_itself_leads_to_a_file(folder, tmp_path):
    """There is nothing behind it that could be kept."""
    create(folder)
    loop = tmp_path / "loop.pem"
    loop.symlink_to(loop)

    bundle(folder, output=loop, roots=folder / "ca.pem")

    assert loop.read_bytes() == load(folder).pem


def test_a_folder_is_no_place_for_a_bundle(folder):
    """What is there stays what it is."""
    create(folder)

    with pytest.raises(SettingsError, match="cannot be written: Is a directory"):
        bundle(folder, output=folder, roots=folder / "ca.pem")


def test_the_flags_reach_the_commands(command, folder, tmp_path, capsys):
    """Each with a folder of its own choice."""
    where, target = ("--ca-dir", str(folder)), tmp_path / "bundle.pem"
    permits = ("--permit", "a.example", "--permit", "10.0.0.0/8")

    assert command("init", *where, "--days", "7", *permits) == 0
    first = load(folder)
    assert command("init", *where, "--replace") == 0
    assert command("show", *where) == 0
    roots = ("--roots", str(folder / "ca.pem"))
    assert command("bundle", *where, "--output", str(target), *roots) == 0

    assert first.scope.permitted == ("a.example", "10.0.0.0/8")
    assert first.expires_at < datetime.now(UTC) + timedelta(days=8)
    assert load(folder).scope.permitted == first.scope.permitted
    assert target.read_bytes() == load(folder).pem
    assert load(folder).fingerprint in capsys.readouterr().out


def test_the_usual_folder_is_below_home_and_needs_no_flag(command, tmp_path, capsys):
    """Nor do the commands that are printed name it."""
    usual = tmp_path / ".local/share/reuse-proxy/ca"

    assert command("init") == 0

    assert stat.S_IMODE(usual.stat().st_mode) == 0o700
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"  reuse-proxy ca bundle --output {usual}/bundle.pem",
        "  reuse-proxy ca show",
    ]


def test_a_user_without_a_home_is_told_the_flag(command, capsys):
    """As of a container; not a traceback."""
    with pytest.raises(SystemExit) as ended:
        command("show", "--ca-dir", "~no-such-user/ca")

    assert ended.value.code == 2
    assert "--ca-dir: ~no-such-user/ca needs a home folder" in capsys.readouterr().err


def test_no_command_prints_what_there_is(command, capsys):
    """As the command line itself does."""
    assert command() == 2
    assert "init" in capsys.readouterr().err


def test_declaring_the_flags_loads_no_cryptography():
    """Every start of the proxy would wait for it."""
    program = (
        "import argparse, sys\n"
        "from reuse_proxy.commands.ca import add_arguments\n"
        "add_arguments(argparse.ArgumentParser())\n"
        "print('cryptography' in sys.modules, 'reuse_proxy.ca' in sys.modules)"
    )

    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "False False\n"
