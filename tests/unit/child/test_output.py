"""The file of a report: refused before the command, or written whole."""

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from reuse_proxy.child.output import ReportFile, rendered
from reuse_proxy.errors import SettingsError
from tests.unit.child.reports import client, report

REPORT = report(client(requests=3, connections=1))


def open_files():
    """Return the numbers of what this process has open."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def pipe_ends(tmp_path):
    """Make a named pipe and read it in a thread; return its path and the reader."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got = []
    thread = threading.Thread(target=lambda: got.append(path.read_bytes()))
    thread.start()
    return path, thread, got


def test_a_file_is_made_with_the_mode_that_others_have(tmp_path):
    """Nothing else is left in its folder."""
    path = tmp_path / "report.json"

    ReportFile(path).write(REPORT)
    plain = tmp_path / "plain"
    plain.touch()

    assert json.loads(path.read_text()) == REPORT
    assert path.stat().st_mode == plain.stat().st_mode
    assert {entry.name for entry in tmp_path.iterdir()} == {"plain", "report.json"}


def test_a_file_is_replaced_at_once_and_keeps_its_mode(tmp_path):
    """Whoever has the old one open reads that."""
    path = tmp_path / "report.json"
    path.write_text("old")
    path.chmod(0o640)

    with path.open() as old:
        ReportFile(path).write(REPORT)
        assert old.read() == "old"

    assert json.loads(path.read_text()) == REPORT
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed(tmp_path, there):
    """Also to what does not exist yet; the link stays one."""
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "target.json", tmp_path / "link.json"
    if there:
        target.write_text("old")
    link.symlink_to("folder/target.json")

    ReportFile(link).write(REPORT)

    assert link.is_symlink()
    assert json.loads(target.read_text()) == REPORT


def test_a_pipe_is_written_to(tmp_path):
    """It is not replaced by a file."""
    path, thread, got = pipe_ends(tmp_path)

    ReportFile(path).write(REPORT)
    thread.join()

    assert b"".join(got).decode() == rendered(REPORT, "")
    assert path.is_fifo()


@pytest.mark.parametrize("spelling", ["/dev/fd/{}", "/proc/self/fd/{}"])
def test_what_is_open_is_written_to_where_it_stands(tmp_path, spelling):
    """As by a shell's 3>file: what is there already stays; our own copy is closed."""
    path = tmp_path / "file"
    with path.open("wb", buffering=0) as file:
        file.write(b"before\n")
        before = open_files()
        ReportFile(Path(spelling.format(file.fileno()))).write(REPORT)
        after = open_files()

    assert path.read_text() == "before\n" + rendered(REPORT, "")
    assert after == before


def test_a_link_to_what_is_open_is_followed(tmp_path):
    """As containers have them for logs."""
    path, link = tmp_path / "file", tmp_path / "link"
    with path.open("wb") as file:
        link.symlink_to(f"/dev/fd/{file.fileno()}")
        ReportFile(link).write(REPORT)

    assert path.read_text() == rendered(REPORT, "")


def test_a_descriptor_is_kept_until_then(tmp_path):
    """Its number may have got another meaning."""
    path, other = tmp_path / "file", tmp_path / "other"
    file = path.open("wb")
    number = file.fileno()
    kept = ReportFile(Path(f"/dev/fd/{number}"))
    file.close()
    with other.open("wb") as taken:
        assert taken.fileno() == number
        kept.write(REPORT)

    assert path.read_text() == rendered(REPORT, "")
    assert other.read_bytes() == b""


def test_a_descriptor_that_is_not_needed_is_closed(tmp_path):
    """As when there was no report; twice does no harm."""
    before = open_files()
    with (tmp_path / "file").open("wb") as file:
        kept = ReportFile(Path(f"/dev/fd/{file.fileno()}"))
    kept.close()
    kept.close()

    assert open_files() == before


def test_a_descriptor_must_be_open_for_writing(tmp_path):
    """Both are told before the command has run."""
    (tmp_path / "file").touch()
    with (tmp_path / "file").open("rb") as file:
        number = file.fileno()
        with pytest.raises(SettingsError, match="open for reading only"):
            ReportFile(Path(f"/dev/fd/{number}"))
    with pytest.raises(SettingsError, match=r"/dev/fd/\d+: Bad file descriptor"):
        ReportFile(Path(f"/dev/fd/{number}"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".", "It is a folder"),
        ("none/report.json", "There is no folder"),
        ("file/report.json", "There is no folder"),
    ],
)
def test_a_place_where_nothing_can_be_is_refused_at_once(tmp_path, name, reason):
    """The sentence names the file."""
    (tmp_path / "file").touch()

    with pytest.raises(SettingsError, match=f"cannot be written to .*: {reason}"):
        ReportFile(tmp_path / name)


def test_a_loop_of_links_is_refused(tmp_path):
    """It leads nowhere."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    with pytest.raises(SettingsError, match="cannot be written"):
        ReportFile(tmp_path / "a").write(REPORT)


def test_a_folder_that_has_gone_is_told_afterwards(tmp_path):
    """The command may have removed it."""
    (tmp_path / "folder").mkdir()
    file = ReportFile(tmp_path / "folder" / "report.json")
    (tmp_path / "folder").rmdir()

    with pytest.raises(SettingsError, match="cannot be written"):
        file.write(REPORT)


def test_the_suffix_tells_the_form():
    """In any case; what is not known is plain text."""
    assert json.loads(rendered(REPORT, ".JSON")) == REPORT
    assert rendered(REPORT, ".json").startswith('{\n  "')
    assert rendered(REPORT, ".md") != rendered(REPORT, ".txt") == rendered(REPORT, "")
