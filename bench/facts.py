"""What the numbers of a run are true of: versions, machine, command, time."""

# ruff: noqa: S603 - the programs are found on PATH and get arguments of ours

import os
import platform
import re
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import peers_slow
from peers import REUSE_PROXY, UnavailableError, program, version

# How each tells its version.
_PROGRAMS = {
    "squid": "-v",
    "haproxy": "-v",
    "nginx": "-v",
    "tinyproxy": "-v",
    "privoxy": "--version",
    "wrk": "-v",
    "curl": "--version",
    "go": "version",
    "valgrind": "--version",
}
_SLOW = {"proxy.py": "proxy", "mitmproxy": "mitmdump"}
QUICK = ("squid", "haproxy", "nginx", "wrk", "curl")


def facts(tree: Path, command: str, names: Iterable[str] = _PROGRAMS) -> dict[str, str]:
    """Return them as text by name; programs that are missing are named, too."""
    versions = {"reuse-proxy": _ours(tree)}
    versions |= {name: _version(name) for name in names}
    if names is _PROGRAMS:
        versions |= {name: _version_of_slow(name) for name in _SLOW}
    missing = [name for name, number in versions.items() if not number]
    told = {
        "command": command,
        "versions": ", ".join(f"{k} {v}" for k, v in versions.items() if v),
        "missing": ", ".join(missing),
        "Python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()}",
        "cores": f"{os.cpu_count()}, {_processor()}",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return {name: text for name, text in told.items() if text}


def _ours(tree: Path) -> str:
    """Return our version, with the revision that was measured."""
    number = version(*REUSE_PROXY, "--version", tree=tree)
    try:
        command = [program("git"), "-C", str(tree), "describe", "--always", "--dirty"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (UnavailableError, subprocess.CalledProcessError):
        return number  # an unpacked archive
    return f"{number} ({done.stdout.strip()})"


def _version(name: str) -> str:
    try:
        return version(program(name), _PROGRAMS[name])
    except UnavailableError:
        return ""


def _version_of_slow(name: str) -> str:
    try:
        return version(peers_slow.installed(name, _SLOW[name]), "--version")
    except UnavailableError:
        return ""


def _processor() -> str:
    found = re.search(
        r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE
    )
    return found.group(1).strip() if found else platform.machine()
