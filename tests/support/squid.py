"""Debian's squid as a parent with basic authentication: a real peer."""

import asyncio
import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.parent import PASSWORD, USER
from tests.support.programs import need, need_file

_HELPER = "/usr/lib/squid/basic_ncsa_auth"
_CONFIG = """\
http_port 127.0.0.1:{port}
hosts_file {folder}/hosts
auth_param basic program {helper} {folder}/passwords
auth_param basic children 1 startup=1
acl known proxy_auth REQUIRED
acl forbidden dstdomain forbidden.test
http_access deny forbidden
http_access allow known
http_access deny all
logformat seen %>p %rm %>Hs
access_log stdio:{folder}/access.log logformat=seen
cache deny all
cache_mem 0 MB
cache_log {folder}/cache.log
coredump_dir {folder}
pid_filename none
netdb_filename none
pinger_enable off
visible_hostname squid.test
shutdown_lifetime 0 seconds
"""


@dataclass(frozen=True)
class Squid:
    """A running squid, which reaches origin.test on loopback."""

    port: int
    log: Path

    def seen(self) -> int:
        """How much it has logged."""
        return len(self.log.read_bytes()) if self.log.exists() else 0

    async def requests(self, since: int, count: int) -> list[tuple[str, str]]:
        """Wait for so many requests after a point of the log: method and status."""
        return [
            (method, status) for _, method, status in await self._lines(since, count)
        ]

    async def accepted(self, since: int, count: int) -> int:
        """Count the connections on which so many requests came: squid's own account."""
        return len({port for port, _, _ in await self._lines(since, count)})

    async def _lines(self, since: int, count: int) -> list[list[str]]:
        async with asyncio.timeout(10):
            while True:
                text = self.log.read_bytes()[since:].decode()
                # A connection without a request has a line, too: that of _wait_for.
                lines = [line.split() for line in text.splitlines()]
                if len(lines := [line for line in lines if line[1] != "-"]) >= count:
                    return lines
                await asyncio.sleep(0.02)  # it is a file


@contextlib.contextmanager
def running_squid() -> Iterator[Squid]:
    """Run one; skips where it is not installed."""
    program, helper = need("squid"), need_file(_HELPER)
    with tempfile.TemporaryDirectory(prefix="squid-") as name:
        folder = Path(name)
        folder.chmod(0o777)  # squid gives root's rights up
        port = _free_port()
        hashed = subprocess.run(  # noqa: S603 - our own arguments
            [need("openssl"), "passwd", "-apr1", PASSWORD],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        (folder / "passwords").write_text(f"{USER}:{hashed}")
        (folder / "hosts").write_text("127.0.0.1 origin.test forbidden.test\n")
        config = folder / "squid.conf"
        config.write_text(_CONFIG.format(port=port, folder=folder, helper=helper))
        process = subprocess.Popen([program, "-N", "-f", str(config)])  # noqa: S603
        try:
            _wait_for(port, process)
            yield Squid(port, folder / "access.log")
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < until:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port)),
        ):
            return
        time.sleep(0.05)
    raise AssertionError("squid does not listen")
