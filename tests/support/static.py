"""An origin of files: a git repository and a package index, as plain files."""

import subprocess
import zipfile
from pathlib import Path

from tests.support.origin import OriginConnection, Script
from tests.support.programs import clean_environment, need

PROJECT = "file.txt"
WHEEL = "hand_made-1.0-py3-none-any.whl"


def serve_files(folder: Path) -> Script:
    """Make a script that serves what is in a folder now, with persistent connections.

    A folder is served by its index.html; what is not there gets 404.
    """
    files = {
        f"/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }

    async def script(connection: OriginConnection) -> None:
        while True:
            request = await connection.request()
            path = request.target.decode().partition("?")[0]
            if path.endswith("/"):
                path += "index.html"
            kind = b"text/html" if path.endswith(".html") else b"application/binary"
            if path in files:
                await connection.reply(files[path], b"Content-Type: " + kind)
            else:
                await connection.reply(b"no such file", status=404)

    return script


def make_repository(folder: Path) -> None:
    """Make work/ in a folder, with one file, and project.git to be cloned as files."""
    work = folder / "work"
    work.mkdir()
    (work / PROJECT).write_text("hello\n" * 1000)
    bare = str(folder / "project.git")
    _git(work, "init", "--quiet", "--initial-branch=main")
    _git(work, "add", ".")
    _git(work, "commit", "--quiet", "--message=Begin")
    _git(work, "clone", "--quiet", "--bare", ".", bare)
    _git(work, "--git-dir", bare, "repack", "-adq")
    _git(work, "--git-dir", bare, "update-server-info")


def _git(folder: Path, *words: str) -> None:
    author = {
        f"GIT_{who}_{what}": "tests@origin.test"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    subprocess.run(  # noqa: S603 - our own words
        [need("git"), *words],
        check=True,
        cwd=folder,
        env={**clean_environment(), **author, "GIT_CONFIG_GLOBAL": "/dev/null"},
    )


def make_index(folder: Path) -> None:
    """Make simple/ in a folder: a package index with one wheel."""
    project = folder / "simple" / "hand-made"
    project.mkdir(parents=True)
    link = f'<!DOCTYPE html><a href="{WHEEL}">{WHEEL}</a>'
    (project / "index.html").write_text(link)
    info = "hand_made-1.0.dist-info"
    with zipfile.ZipFile(project / WHEEL, "w") as wheel:
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: hand-made\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{info}/RECORD", "")
