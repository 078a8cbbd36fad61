"""A Go program with a mistake: the one of the tests, compiled and run with a proxy."""

# ruff: noqa: S603 - the programs are found on PATH and get arguments of ours

import contextlib
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from measure import FailedError
from peers import LOOPBACK, UnavailableError, free_port, program
from setting import TOP

UNREAD = ("unread", "closeonly")
MISTAKES = (*UNREAD, "newtransport")
_SOURCE = TOP / "tests" / "programs" / "leak.go"
_BUILD_TIMEOUT_S = 120
# What the machine may have set for its clients.
_OF_CLIENTS = re.compile(r".*_proxy|ssl_cert_.*", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """What to ask for, the port of the proxy to go through, and whom to trust."""

    url: str
    proxy: int | None = None
    trust: Path | None = None


@dataclass(frozen=True)
class LeakingClient:
    """The compiled program."""

    binary: Path

    @classmethod
    def built(cls, folder: Path) -> "LeakingClient":
        """Compile it."""
        binary = folder / _SOURCE.stem
        command = [program("go"), "build", "-o", str(binary), str(_SOURCE)]
        settings = {"GO111MODULE": "off", "GOFLAGS": "", "CGO_ENABLED": "0"}
        done = subprocess.run(
            command,
            env={**os.environ, **settings},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=_BUILD_TIMEOUT_S,
        )
        if done.returncode:
            raise UnavailableError(f"go does not compile: {done.stderr.strip()[-300:]}")
        return cls(binary)

    def run(
        self,
        target: Target,
        *,
        mistake: str,
        requests: int,
        method: str = "GET",
        timeout: float = 60,
    ) -> float:
        """Send requests one after the other; return the seconds that it took.

        Args:
            target: whom to ask.
            mistake: which of MISTAKES to make.
            requests: how many.
            method: GET or POST.
            timeout: after how many seconds it is ended.

        Raises:
            FailedError: a request was not answered with 200, or it took too long.
        """
        options = [f"-mistake={mistake}", f"-n={requests}"]
        options += ["-post"] if method == "POST" else []
        began = time.perf_counter()
        try:
            done = subprocess.run(
                [str(self.binary), *options, target.url],
                env=_environment(target),
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise FailedError(f"was not done after {timeout:.0f} s") from None
        seconds = time.perf_counter() - began
        if done.returncode:
            first = done.stderr.partition("\n")[0][-200:]
            raise FailedError(f"{done.stdout.strip()}; first: {first}")
        return seconds

    def check_that_proxies_are_used(self, url: str) -> None:
        """Raise UnavailableError if it would go around a proxy to reach this URL."""
        nobody = Target(url, free_port())
        with contextlib.suppress(FailedError):
            self.run(nobody, mistake="newtransport", requests=1)
            raise UnavailableError(f"Go uses no proxy for {url}")


def _environment(target: Target) -> dict[str, str]:
    variables = {k: v for k, v in os.environ.items() if not _OF_CLIENTS.fullmatch(k)}
    if target.proxy is not None:
        proxy = f"http://{LOOPBACK}:{target.proxy}"
        variables |= {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy}
    if target.trust is not None:
        variables |= {"SSL_CERT_FILE": str(target.trust), "SSL_CERT_DIR": os.devnull}
    return variables
