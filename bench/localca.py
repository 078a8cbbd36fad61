"""The local CA of reuse-proxy, made for one run."""

# ruff: noqa: S603 - this interpreter, with arguments of ours

import subprocess
from pathlib import Path

from peers import REUSE_PROXY, UnavailableError

_TIMEOUT_S = 60


def local_ca(tree: Path, folder: Path, host: str) -> Path:
    """Make a CA that may sign for a host in a folder; return its certificate."""
    made = subprocess.run(
        [*REUSE_PROXY, "ca", "init", "--ca-dir", str(folder), "--permit", host],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
    if made.returncode:
        raise UnavailableError(f"no CA to intercept with: {made.stderr.strip()[-200:]}")
    return folder / "ca.pem"
