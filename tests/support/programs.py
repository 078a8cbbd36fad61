"""Real client programs: built once, run as subprocesses with an environment."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parents[1] / "programs"
SKIP_NOTHING = "TESTS_SKIP_NOTHING"


def need(program: str) -> str:
    """Return a program's path; where it is missing, skip, or fail in CI."""
    path = shutil.which(program)
    if path is None:
        if os.environ.get(SKIP_NOTHING):
            pytest.fail(f"{program} is missing, and nothing may be skipped here")
        pytest.skip(f"{program} is not installed")
    return path


def build_go(source: str, target: Path) -> Path:
    """Compile one of the Go programs."""
    binary = target / source.removesuffix(".go")
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    subprocess.run(  # noqa: S603 - our own source
        [need("go"), "build", "-o", str(binary), str(PROGRAMS / source)],
        check=True,
        env=environment,
        cwd=target,
    )
    return binary


async def run(*command: str, proxy: str | None = None, seconds: float = 60) -> str:
    """Run a program with HTTP_PROXY or without; return what it printed.

    Raises:
        AssertionError: it ended with another code than 0, or did not end.
    """
    environment = {
        key: value
        for key, value in os.environ.items()
        if key.lower() not in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    }
    if proxy is not None:
        environment |= {"HTTP_PROXY": proxy, "http_proxy": proxy}
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode()
    assert process.returncode == 0, text
    return text
