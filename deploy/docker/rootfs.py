"""Lay out the root of the image: python rootfs.py VENV ROOT, in the build stage.

Most of a Python image is a shell, a package manager and tools that nothing here runs,
and half of what the wheels bring is for debuggers.  What goes in is the interpreter, the
virtual environment, the shared libraries that both are linked to, and the files that
TLS and name resolution read.  Which of Debian's packages these came from is told in
/var/lib/dpkg/status.d, where scanners look.
"""

import compileall
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from py_compile import PycInvalidationMode

# Kubernetes' runAsNonRoot wants a number; this one is what such images mostly have.
USER = "65532"
PASSWD = f"""\
root:x:0:0:root:/:/sbin/nologin
reuse-proxy:x:{USER}:{USER}:reuse-proxy:/var/lib/reuse-proxy:/sbin/nologin
"""
GROUP = f"root:x:0:\nreuse-proxy:x:{USER}:\n"

SYSTEM_FILES = (
    "/etc/debian_version",
    "/etc/ld.so.conf",
    *map(str, sorted(Path("/etc/ld.so.conf.d").glob("*.conf"))),
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/openssl.cnf",
    "/usr/lib/os-release",
    "/usr/lib/ssl/cert.pem",
    "/usr/lib/ssl/openssl.cnf",
)
# Of the standard library: what installs, draws, tests, or wants a terminal.
NOT_NEEDED = (
    *("__pycache__", "config-3.*", "ensurepip", "idlelib", "lib2to3", "pydoc_data"),
    *("site-packages", "sqlite3", "test", "tkinter", "turtledemo"),
    *("_curses*.so", "_dbm.*", "_gdbm.*", "_sqlite3.*", "_test*.so", "_tkinter.*"),
    *("nis.*.so", "ossaudiodev.*", "readline.*", "xx*.so"),
)
# Whose files were not installed, but made from what was.
MADE_BY = ("ca-certificates",)


def main(venv: str, top: str) -> None:
    """Make the tree."""
    root, environment = Path(top), Path(venv)
    library = Path(sysconfig.get_path("stdlib"))
    skeleton(root)
    for folder, left_out in ((library, NOT_NEEDED), (environment, ("__pycache__",))):
        copy_tree(folder, root, left_out)
    for path in chain(environment / "bin/python"):
        copy(path, root)
    programs = [path for path in root.rglob("*") if is_program(path)]
    run("strip", "--strip-unneeded", *map(str, programs))
    system = [*map(Path, SYSTEM_FILES), *libraries(programs)]
    for path in system:
        copy(path, root)
    for package in {*MADE_BY, *filter(None, map(owner, system))}:
        tell(package, root)
    for folder in (library, environment):
        compile_tree(folder, root)
    run("/sbin/ldconfig", "-r", top)


def skeleton(root: Path) -> None:
    """Make the folders that have to be there, and the files that are ours."""
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "etc", "proc", "sys", "tmp", "var/lib/dpkg/status.d"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)


def chain(path: Path) -> Iterator[Path]:
    """Follow links; give each of them, and what the last one leads to."""
    yield path
    while path.is_symlink():
        path = path.parent / path.readlink()
        yield path


def copy(path: Path, root: Path) -> None:
    """Copy a file, or a link as it is, to the same place; one that is missing is not."""
    target = below(root, path)
    if path.is_file() and not (target.is_symlink() or target.is_file()):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target, follow_symlinks=False)


def copy_tree(folder: Path, root: Path, left_out: Iterable[str]) -> None:
    """Copy a folder without what is not needed."""
    ignore = shutil.ignore_patterns(*left_out)
    shutil.copytree(folder, below(root, folder), symlinks=True, ignore=ignore)


def below(root: Path, path: Path) -> Path:
    """Tell where a file of this machine comes to lie."""
    return root / path.relative_to("/")


def libraries(programs: Iterable[Path]) -> Iterator[Path]:
    """Find the shared libraries that programs are linked to."""
    for name in sorted(
        set(re.findall(r"(/\S+) \(0x", run("ldd", *map(str, programs))))
    ):
        yield from chain(Path(name))


def is_program(path: Path) -> bool:
    """Tell whether the loader would read a file."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def owner(path: Path) -> str | None:
    """Name the package that a file came with, by its name before or after usr-merge."""
    plain = str(path).removeprefix("/usr")
    told = run("dpkg-query", "--search", plain, f"/usr{plain}", may_fail=True)
    return told.partition(": ")[0].split(",")[0] or None


def tell(package: str, root: Path) -> None:
    """Leave word of a package, and its licence."""
    name = package.partition(":")[0]
    status = run("dpkg-query", "--status", package)
    (root / "var/lib/dpkg/status.d" / name).write_text(status)
    copy(Path("/usr/share/doc", name, "copyright"), root)


def run(*command: str, may_fail: bool = False) -> str:
    """Run a program of this machine; return what it says."""
    done = subprocess.run(  # noqa: S603 - by us
        command, capture_output=True, text=True, check=False
    )
    if done.returncode and not may_fail:
        raise SystemExit(done.stderr)
    return done.stdout


def compile_tree(folder: Path, root: Path) -> None:
    """Compile what nobody could at run time, whatever becomes of files' times."""
    compileall.compile_dir(
        below(root, folder),
        stripdir=root,
        prependdir="/",
        quiet=1,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
