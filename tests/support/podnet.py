"""A node and a pod as network namespaces: real addresses, real sources, no cluster.

The pod has an address of the pod network and a read-only file system, and is reached
from the node by a virtual cable; the node has all other addresses of the tests.  None
of them leads anywhere else.  Needs util-linux, iproute2 and user namespaces, not root.
"""

import asyncio
import os
import subprocess
import sys
from asyncio.subprocess import PIPE
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.support.manifests import NODE_ADDRESS, Container
from tests.support.programs import missing, need

POD = "10.244.1.5"
# A pod of another node, where Prometheus may be; somebody outside; an origin.
OTHER_POD, STRANGER, ORIGIN = "10.244.0.9", "203.0.113.7", "198.51.100.20"

_PROGRAMS = Path(__file__).parents[1] / "programs"
_NODE = f"""
set -e
ip link set lo up
ip link add pod type veth peer name eth0 netns "$1"
ip address add {NODE_ADDRESS}/32 dev lo
ip address add {OTHER_POD}/32 dev lo
ip address add {STRANGER}/32 dev lo
ip address add {ORIGIN}/32 dev lo
ip address add 169.254.1.1/32 dev pod
ip link set pod up
ip route add {POD}/32 dev pod src {NODE_ADDRESS}
"""
_POD = f"""
set -e
ip link set lo up
ip address add {POD}/32 dev eth0
ip link set eth0 up
ip route add 169.254.1.1 dev eth0
ip route add default via 169.254.1.1 dev eth0
awk '{{ print $5 }}' /proc/self/mountinfo | while read -r mounted; do
  mount -o remount,bind,ro "$mounted" || true
done 2>/dev/null
! touch "$1"
"""
_STAYS = ("sh", "-c", "echo here; exec cat")
_PRIVILEGES = ("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")
_SECONDS = 20


@dataclass(frozen=True)
class Answer:
    """What came back: no status where nobody listens."""

    status: int
    head: str = ""
    body: str = ""


class Running:
    """A process in a namespace, with what it writes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []

    async def until(self, words: str) -> str:
        """Read lines until one has these words."""
        assert self._process.stdout is not None
        async with asyncio.timeout(_SECONDS):
            while line := (await self._process.stdout.readline()).decode():
                self.lines.append(line)
                if words in line:
                    return line
        raise AssertionError(self.lines)

    def say(self) -> None:
        """Close its input, which our programs wait for."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def ask_to_stop(self) -> None:
        """Send what the kubelet sends first."""
        self._process.terminate()

    async def exit_code(self, seconds: float) -> int:
        """Wait for its end, for as long as it is given."""
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            self.lines.append((await self._process.stdout.read()).decode())
            return await self._process.wait()


class PodNetwork:
    """The namespaces, and what runs in them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = AsyncExitStack()
        self._node: list[str] = []
        self._pod: list[str] = []

    async def __aenter__(self) -> Self:
        need("ip")
        enter = [need("nsenter"), "--user", "--net", "--preserve-credentials"]
        unshare = need("unshare")
        as_root = [unshare, "--map-root-user", "--net"]
        if not await _works(*as_root, "true"):
            missing("the right to make user namespaces")
        node = await self._here(*as_root, *_STAYS)
        self._node = [*enter, f"--target={node}"]
        pod = await self._here(*self._node, unshare, "--net", "--mount", *_STAYS)
        self._pod = [*enter, "--mount", f"--target={pod}"]
        await _run(*self._node, "sh", "-c", _NODE, "sh", f"{pod}")
        await _run(*self._pod, "sh", "-c", _POD, "sh", f"{self._folder / 'written'}")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    # Run...

    async def start(self, container: Container, **variables: str) -> Running:
        """Run a container's command with its variables, less every privilege."""
        command = container.mounted(self._folder)
        environment = _environment(container) | variables
        privileges = [need("setpriv"), *_PRIVILEGES]
        return await self._start(
            *self._pod, *privileges, *command, env=environment, cwd="/"
        )

    async def origin(self) -> Running:
        """Run an origin on the node, at port 80 of an address of its own."""
        program = str(_PROGRAMS / "counting_origin.py")
        running = await self._start(*self._node, sys.executable, program, ORIGIN, "80")
        await running.until("listening")
        return running

    async def _here(self, *command: str) -> int:
        running = await self._start(*command)
        await running.until("here")
        return running._process.pid

    async def _start(self, *command: str, **options: Any) -> Running:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=subprocess.STDOUT, **options
        )
        self._stack.push_async_callback(_end, process)
        return Running(process)

    async def execute(self, container: Container, *command: str) -> tuple[int, str]:
        """Run a program in a container that runs; return its exit code and output."""
        process = await asyncio.create_subprocess_exec(
            *(*self._pod, *command),
            env=_environment(container),
            stdout=PIPE,
            stderr=subprocess.STDOUT,
        )
        async with asyncio.timeout(_SECONDS):
            output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    # Ask...

    async def get(
        self, port: int, target: str, *, source: str, host: str = POD
    ) -> Answer:
        """Send a request from the node, by one of its addresses."""
        program = str(_PROGRAMS / "get_from.py")
        told = await _run(
            *(*self._node, sys.executable, "-I", program),
            *(source, host, f"{port}", target),
        )
        status, _, rest = told.partition("\n")
        head, _, body = rest.partition("\n\n")
        return Answer(int(status), head, body)

    async def probe(self, container: Container, name: str) -> bool:
        """Do what the kubelet does for a probe; tell whether it succeeds."""
        probe = container.spec[name]
        if "exec" in probe:
            code, _ = await self.execute(container, *probe["exec"]["command"])
            return code == 0
        port = container.ports()[probe["httpGet"]["port"]]
        answer = await self.get(port, probe["httpGet"]["path"], source=NODE_ADDRESS)
        return 200 <= answer.status < 400


def _environment(container: Container) -> dict[str, str]:
    """Return a container's variables; its programs are those of this interpreter."""
    own = Path(sys.executable).parent
    return {"PATH": f"{own}:{os.environ['PATH']}", **container.environment()}


async def _works(*command: str) -> bool:
    process = await asyncio.create_subprocess_exec(*command, stderr=PIPE)
    await process.communicate()
    return process.returncode == 0


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=PIPE, stderr=subprocess.STDOUT
    )
    async with asyncio.timeout(_SECONDS):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.communicate()
