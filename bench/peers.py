"""The servers of a benchmark: an nginx origin and the proxies, on loopback.

Each is started by us from a configuration in a temporary directory, and ended by
its process id.  Nothing here measures.
"""

# ruff: noqa: S603 - the programs are found on PATH and get arguments of ours

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
BIG_FILE_BYTES = 100_000_000
_START_TIMEOUT_S = 15.0
_STOP_TIMEOUT_S = 5.0
# Debian keeps servers where an ordinary user's PATH does not look.
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
_TOP = Path(__file__).resolve().parents[1]

_NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_requests 100000000;
  keepalive_timeout 3600s;
  client_body_temp_path {folder};
  proxy_temp_path {folder};
  fastcgi_temp_path {folder};
  uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /status {{ stub_status; }}
    location = /small {{ return 200 "twelve bytes"; }}
    location = /big {{ root {folder}; }}
  }}
}}
"""

_SQUID = """\
http_port 127.0.0.1:{port}
http_access allow all
cache deny all
cache_mem 0 MB
access_log none
cache_store_log none
cache_log {folder}/cache.log
pid_filename {folder}/squid.pid
coredump_dir {folder}
cache_effective_user proxy
pinger_enable off
server_persistent_connections on
client_persistent_connections on
visible_hostname localhost
shutdown_lifetime 0 seconds
"""

_HAPROXY = """\
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend clients
  bind 127.0.0.1:{port}
  default_backend origin
backend origin
  server origin 127.0.0.1:{origin}
"""


class UnavailableError(Exception):
    """A program is not installed, or does not start; says which and why."""


@dataclass(frozen=True)
class Server:
    """A running server; ``process`` leads a process group of its own."""

    name: str
    version: str
    port: int
    process: "subprocess.Popen[bytes]"


@contextlib.contextmanager
def on_cpus(cpus: set[int]) -> Iterator[None]:
    """Have processes that are started inside the block run on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def program(name: str) -> str:
    """Find a program, or raise UnavailableError."""
    path = shutil.which(name, path=_PATH)
    if path is None:
        raise UnavailableError(f"{name} is not installed")
    return path


def version(*command: str) -> str:
    """Return the version number that a program prints about itself."""
    # wrk's --version ends with its usage and exit code 1; nginx writes to stderr.
    done = subprocess.run(command, capture_output=True, check=False, timeout=20)
    found = re.search(rb"\d+(\.\d+)+", done.stdout + done.stderr)
    return found.group().decode() if found else "unknown"


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[Server]:
    """Run the origin: /small, /big (a sparse file) and /status."""
    path, folder = program("nginx"), _room(folder, "nginx")
    with (folder / "big").open("wb") as file:
        file.truncate(BIG_FILE_BYTES)
    (folder / "big").chmod(0o644)
    port = free_port()
    config = _config(folder / "nginx.conf", _NGINX, folder=folder, port=port)
    arguments = [path, "-p", str(folder), "-e", f"{folder}/nginx.log", "-c", config]
    with running("nginx", version(path, "-v"), port, arguments, folder) as server:
        yield server


@contextlib.contextmanager
def squid(folder: Path, origin: int) -> Iterator[Server]:
    """Run squid as a forward proxy that stores nothing."""
    del origin
    path, folder = program("squid"), _room(folder, "squid")
    port = free_port()
    config = _config(folder / "squid.conf", _SQUID, folder=folder, port=port)
    arguments = [path, "-N", "-f", config]
    with running("squid", version(path, "-v"), port, arguments, folder) as server:
        yield server


@contextlib.contextmanager
def haproxy(folder: Path, origin: int) -> Iterator[Server]:
    """Run HAProxy, which is no forward proxy: its upstream is fixed to the origin."""
    path, folder = program("haproxy"), _room(folder, "haproxy")
    port = free_port()
    config = _config(folder / "haproxy.cfg", _HAPROXY, port=port, origin=origin)
    number = version(path, "-v")
    with running("haproxy", number, port, [path, "-f", config], folder) as server:
        yield server


@contextlib.contextmanager
def reuse_proxy(folder: Path, origin: int) -> Iterator[Server]:
    """Run the proxy of this source tree with this interpreter."""
    with reuse_proxy_of(_TOP, "reuse-proxy", folder, origin) as server:
        yield server


@contextlib.contextmanager
def reuse_proxy_of(
    tree: Path, name: str, folder: Path, origin: int, *settings: str
) -> Iterator[Server]:
    """Run the proxy of any source tree, under a name of its own."""
    folder = _room(folder, name)
    port, admin = free_port(), free_port()
    command = [sys.executable, "-m", "reuse_proxy"]
    listeners = ["--listen", f"{LOOPBACK}:{port}", "--admin", f"{LOOPBACK}:{admin}"]
    number = version(*command, "--version")
    more = ["--connect-ports", str(origin), *settings]
    arguments = [*command, "serve", *listeners, *more]
    with running(name, number, port, arguments, folder, tree) as server:
        yield server


PROXIES = (reuse_proxy, squid, haproxy)


@contextlib.contextmanager
def running(
    name: str,
    number: str,
    port: int,
    arguments: list[str],
    folder: Path,
    tree: Path = _TOP,
) -> Iterator[Server]:
    """Start a server, wait until it listens, and end it by its process id."""
    log = folder / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            arguments,
            cwd=tree,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_until_listening(name, process, port, log)
        yield Server(name, number, port, process)
    finally:
        _end(process)


def _wait_until_listening(
    name: str, process: "subprocess.Popen[bytes]", port: int, log: Path
) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port)):
            return
        time.sleep(0.02)
    last = log.read_text("utf-8", "replace").strip().rpartition("\n")[2]
    raise UnavailableError(f"{name} does not start: {last or 'no output'}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _room(folder: Path, name: str) -> Path:
    """Make a folder that a server can use after it gave up root's rights."""
    folder.chmod(0o755)
    room = folder / name
    room.mkdir()
    room.chmod(0o777)
    return room


def _config(path: Path, template: str, **values: object) -> str:
    path.write_text(template.format(**values))
    return str(path)
