"""Build the image where there is no Docker engine, and try it.

It runs as root, with Debian's buildah and mmdebstrap, and takes a minute or two.  The
base is a Debian made here, with Debian's Python in the place of python.org's; all else
is what the Dockerfile says.  The image then runs as an engine would run it: as its user,
with its environment, on a root that cannot be written; its health check is asked, a
request goes through, and the stop signal must end it with 0.
"""

import gzip
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[2]
MAX_BYTES = 120_000_000
PATIENCE_S = 20.0
PACKAGES = "binutils,ca-certificates,python3,python3-pip"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
# What an engine does before it starts a container with --read-only.
CONFINED = """
/bin/mount --bind "$0" "$0" && /bin/mount -o remount,bind,ro "$0" &&
/bin/mount -t proc proc "$0/proc" && /bin/mount --rbind /dev "$0/dev" &&
exec /usr/sbin/chroot --userspec="$USER_ID" --groups= "$0" "$@"
"""
STOP_SIGNALS = {"SIGTERM": 15}


def main() -> None:
    """Make the base, the image, and try it."""
    with tempfile.TemporaryDirectory(prefix="reuse-proxy-") as folder:
        work = Path(folder)
        store = Store(work)
        make_base(store)
        store.buildah(
            *("build", "--quiet", "--isolation", "chroot", "--format", "docker"),
            *("--from", "localhost/base", "--tag", "reuse-proxy", str(TOP)),
        )
        unpacked, packed = store.sizes("reuse-proxy")
        print(f"{unpacked / 1e6:.1f} MB, {packed / 1e6:.1f} MB compressed")  # noqa: T201
        if unpacked > MAX_BYTES:
            sys.exit(f"that is more than {MAX_BYTES / 1e6:.0f} MB")
        Container(*store.unpacked("reuse-proxy")).live()
        print("it serves, is healthy, cannot write, and ends with 0")  # noqa: T201


class Store:
    """Where buildah keeps what this run makes."""

    def __init__(self, work: Path) -> None:
        self._work = work

    def buildah(self, *arguments: str) -> str:
        """Run buildah; return what it prints."""
        root, run = self._work / "storage", self._work / "run"
        options = ("--root", root, "--runroot", run, "--storage-driver", "vfs")
        return call("buildah", *map(str, options), *arguments)

    def unpacked(self, image: str) -> tuple[Path, dict[str, Any]]:
        """Return an image's root and its configuration."""
        container = self.buildah("from", "--pull-never", image)
        told = json.loads(self.buildah("inspect", "--type", "image", image))
        return Path(self.buildah("mount", container)), told["Docker"]["config"]

    def sizes(self, image: str) -> tuple[int, int]:
        """Tell how large the layers are, as engines and as registries count."""
        folder = self._work / "oci"
        self.buildah("push", "--quiet", image, f"oci:{folder}:{image}")
        index = json.loads((folder / "index.json").read_text())
        manifest = json.loads(blob(folder, index["manifests"][0]).read_text())
        layers = [blob(folder, layer) for layer in manifest["layers"]]
        return sum(map(plain_size, layers)), sum(path.stat().st_size for path in layers)


def blob(folder: Path, descriptor: dict[str, str]) -> Path:
    """Find the file that a descriptor names."""
    return folder / "blobs" / descriptor["digest"].replace(":", "/")


def plain_size(path: Path) -> int:
    """Tell how large a layer is when it is not compressed."""
    with gzip.open(path) as file:
        return file.seek(0, os.SEEK_END)


def make_base(store: Store) -> None:
    """Make the stand-in for the image that the Dockerfile begins with."""
    container = store.buildah("from", "scratch")
    root = Path(store.buildah("mount", container))
    call(
        *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}"),
        *("--dpkgopt=force-unsafe-io", "bookworm", str(root)),
    )
    for name, target in (("python", "python3"), ("pip", "pip3")):
        (root / "usr/local/bin" / name).symlink_to(f"/usr/bin/{target}")
    # Whom this machine trusts, for the packages that the build fetches.
    shutil.copy(AUTHORITIES, root / AUTHORITIES.relative_to("/"))
    (root / "etc/pip.conf").write_text(f"[global]\ncert = {AUTHORITIES}\n")
    path = "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    store.buildah("config", "--env", path, container)
    store.buildah("commit", "--quiet", "--rm", container, "localhost/base")


class Container:
    """A root and a configuration, run as an engine would run them."""

    def __init__(self, root: Path, config: dict[str, Any]) -> None:
        self._root, self._config = root, config
        self._port, admin = free_ports(2)
        variables = dict(item.split("=", 1) for item in config["Env"])
        self._environment = variables | {
            "REUSE_PROXY_LISTEN": f"127.0.0.1:{self._port}",
            "REUSE_PROXY_ADMIN": f"127.0.0.1:{admin}",
            # The health check must not be taken in by it.
            "HTTP_PROXY": "http://127.0.0.1:1",
        }

    def live(self) -> None:
        """Start, be healthy, forward a request, stop."""
        command = [*self._config["Entrypoint"], *self._config["Cmd"]]
        with self.start(*command) as process:
            try:
                self._become_healthy(process)
                forward(self._port)
                self._cannot_write()
                process.send_signal(STOP_SIGNALS[self._config["StopSignal"]])
                code = process.wait(PATIENCE_S)
            finally:
                process.kill()
        if code:
            sys.exit(f"the stop signal ended it with {code}")

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Run a program of the image as its user, on a root that is read-only."""
        confined = ("/usr/bin/unshare", "--mount", "/bin/sh", "-c", CONFINED)
        return subprocess.Popen(  # noqa: S603 - the image is ours
            [*confined, str(self._root), *command],
            env=self._environment | {"USER_ID": self._config["User"]},
        )

    def _become_healthy(self, process: subprocess.Popen[bytes]) -> None:
        kind, *check = self._config["Healthcheck"]["Test"]
        if kind != "CMD":
            sys.exit("the health check wants a shell, and there is none")
        deadline = time.monotonic() + PATIENCE_S
        while self.start(*check).wait(PATIENCE_S):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit("it does not become healthy")
            time.sleep(0.1)

    def _cannot_write(self) -> None:
        code = "import errno, sys\ntry: open('/tmp/file', 'w')\n"
        code += (
            "except OSError as error: sys.exit(error.errno != errno.EROFS)\nsys.exit(1)"
        )
        if self.start("python", "-c", code).wait(PATIENCE_S):
            sys.exit("its root can be written")


def forward(port: int) -> None:
    """Send a request through the proxy to an origin of our own."""
    with HTTPServer(("127.0.0.1", 0), Hello) as origin:
        thread = threading.Thread(target=origin.handle_request)
        thread.start()
        proxy = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        proxy.request("GET", f"http://127.0.0.1:{origin.server_port}/")
        body = proxy.getresponse().read()
        proxy.close()
        thread.join()
    if body != b"hello":
        sys.exit(f"it answers {body!r}")


class Hello(BaseHTTPRequestHandler):
    """An origin with one answer."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def call(*command: str) -> str:
    """Run a program to its end; what it says is shown if it fails."""
    done = subprocess.run(  # noqa: S603 - by us
        command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
