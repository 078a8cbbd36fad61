"""Proxies that are not made for speed; two have venvs of their own, made here.

`python bench/peers_slow.py` makes the venvs: what proxy.py and mitmproxy depend on
would clash with each other and with us.  One that cannot be made is left out.
"""

# ruff: noqa: S603 - pip of a venv of ours, with arguments of ours

import contextlib
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

from peers import (
    LOOPBACK,
    Server,
    UnavailableError,
    configured,
    free_port,
    program,
    room,
    running,
    version,
)
from peers_config import PRIVOXY, TINYPROXY

_VENVS = Path(__file__).resolve().parent / ".peers"
_PACKAGES = ("proxy.py", "mitmproxy")
_PIP_TIMEOUT_S = 300


@contextlib.contextmanager
def tinyproxy(folder: Path, origin: int) -> Iterator[Server]:
    """Run tinyproxy, which opens a connection for each request."""
    command = (program("tinyproxy"), "-d", "-c")
    with configured("tinyproxy", command, TINYPROXY, folder, origin) as server:
        yield server


@contextlib.contextmanager
def privoxy(folder: Path, origin: int) -> Iterator[Server]:
    """Run Privoxy without a filter, and with connection sharing."""
    command = (program("privoxy"), "--no-daemon")
    version_flag = "--version"
    with configured(
        "privoxy", command, PRIVOXY, folder, origin, version_flag
    ) as server:
        yield server


@contextlib.contextmanager
def proxy_py(folder: Path, origin: int) -> Iterator[Server]:
    """Run proxy.py on one core."""
    del origin
    path = installed("proxy.py", "proxy")
    folder, port = room(folder, "proxy.py"), free_port()
    one = ["--num-workers", "1", "--num-acceptors", "1"]
    quiet = ["--log-level", "ERROR", "--data-dir", str(folder)]
    listen = ["--hostname", LOOPBACK, "--port", str(port)]
    number = version(path, "--version")
    command = [path, *listen, *one, *quiet]
    with running("proxy.py", number, port, command, folder) as server:
        yield server


@contextlib.contextmanager
def mitmproxy(folder: Path, origin: int) -> Iterator[Server]:
    """Run mitmdump, which keeps no flow and streams bodies."""
    del origin
    path = installed("mitmproxy", "mitmdump")
    folder, port = room(folder, "mitmproxy"), free_port()
    listen = ["--listen-host", LOOPBACK, "--listen-port", str(port)]
    options = ["--set", f"confdir={folder}", "--set", "stream_large_bodies=64k"]
    number = version(path, "--version")
    command = [path, "-q", *listen, *options]
    with running("mitmproxy", number, port, command, folder) as server:
        yield server


PROXIES = (tinyproxy, privoxy, proxy_py, mitmproxy)


def main() -> int:
    """Make the venvs that are not there."""
    for package in _PACKAGES:
        try:
            _install(package)
        except (OSError, subprocess.SubprocessError) as exc:
            sys.stderr.write(f"{package} cannot be installed and is left out: {exc}\n")
    return 0


def _install(package: str) -> None:
    folder = _VENVS / package
    done = folder / "installed"
    if done.exists():
        return
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(folder / "bin" / "pip"), "--disable-pip-version-check", "--quiet"]
    command = [*pip, "install", package]
    # pip warns of much that does not matter; should it fail, its exit code tells.
    subprocess.run(command, check=True, capture_output=True, timeout=_PIP_TIMEOUT_S)
    done.touch()


def installed(package: str, command: str) -> str:
    """Find a program of a venv, or raise UnavailableError."""
    folder = _VENVS / package
    if not (folder / "installed").exists():
        raise UnavailableError(f"{package} is not installed")
    return str(folder / "bin" / command)


if __name__ == "__main__":
    sys.exit(main())
