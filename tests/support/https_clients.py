"""The clients that are tried over HTTPS; docs/clients.md has a row for each."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.programs import (
    NODE,
    PROGRAMS,
    build_go,
    need,
    newest_node,
    node_program,
    run,
)
from tests.support.ways import WAYS, Route


@dataclass(frozen=True)
class HttpsClient:
    """A program, and what it has to be told.

    Args:
        ca: the variable that names the file of authorities.
        command: makes the words to run from a folder that it may use, the URL, and
            how often to ask.
        alone: whether it asks but once, however often it is told to.
        environment: variables that it needs besides.
        proxies: the variables that name the proxy, for http and https or ws and wss.
        ways: on which ways it works.
    """

    ca: str
    command: Callable[[Path, str, int], list[str]]
    alone: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    proxies: tuple[str, ...] = ("HTTP_PROXY", "HTTPS_PROXY")
    ways: tuple[str, ...] = WAYS

    async def run(
        self, folder: Path, url: str, times: int, route: Route, trust: Mapping[str, str]
    ) -> str:
        """Ask so many times through a proxy; return all that was printed."""
        command = self.command(folder, url, times)
        proxies = dict.fromkeys(self.proxies, route.proxy.url)
        environment = {**self.environment, **proxies, **trust}
        output = ""
        for _ in range(times if self.alone else 1):
            output += await run(*command, environment=environment)
        return output


def _curl(_: Path, url: str, __: int) -> list[str]:
    return [need("curl"), "-qsSf", "--write-out", "\\n", url]


def _python(name: str) -> Callable[[Path, str, int], list[str]]:
    program = str(PROGRAMS / name)
    return lambda _, url, times: [sys.executable, program, url, str(times)]


def _go(folder: Path, url: str, times: int) -> list[str]:
    binary = folder / "leak"
    if not binary.exists():
        build_go("leak.go", folder)
    return [str(binary), "-mistake=newtransport", f"-n={times}", "-show", url]


def _undici(_: Path, url: str, times: int) -> list[str]:
    return [*node_program("undici_loop.js"), url, str(times)]


def _fetch(_: Path, url: str, __: int) -> list[str]:
    return [newest_node(), str(NODE / "fetch.js"), url]


def _git(folder: Path, url: str, _: int) -> list[str]:
    return [need("git"), "-C", str(folder), "clone", "--quiet", url]


def _pip(folder: Path, url: str, _: int) -> list[str]:
    options = ["--no-deps", "--no-cache-dir", "--retries=0"]
    where = ["--dest", str(folder), "--index-url", url]
    if url.startswith("http:"):
        where += ["--trusted-host", url.split("/")[2]]
    return [sys.executable, "-m", "pip", "download", *options, *where, "hand-made"]


# They print what they get, a line for each request.
ASKING: Mapping[str, HttpsClient] = {
    "curl": HttpsClient(
        "CURL_CA_BUNDLE", _curl, alone=True, proxies=("http_proxy", "HTTPS_PROXY")
    ),
    "Python requests": HttpsClient("REQUESTS_CA_BUNDLE", _python("requests_loop.py")),
    "Python httpx": HttpsClient("SSL_CERT_FILE", _python("httpx_loop.py")),
    "Python aiohttp": HttpsClient("SSL_CERT_FILE", _python("aiohttp_loop.py")),
    "Go net/http": HttpsClient("SSL_CERT_FILE", _go),
    "Node undici": HttpsClient("NODE_EXTRA_CA_CERTS", _undici),
    "Node fetch": HttpsClient(
        "NODE_EXTRA_CA_CERTS",
        _fetch,
        alone=True,
        environment={"NODE_USE_ENV_PROXY": "1"},
    ),
}

# They fetch into a folder.
FETCHING: Mapping[str, HttpsClient] = {
    "git": HttpsClient(
        "GIT_SSL_CAINFO",
        _git,
        proxies=("http_proxy", "HTTPS_PROXY"),
        environment={"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"},
    ),
    "pip": HttpsClient("PIP_CERT", _pip, environment={"PIP_CONFIG_FILE": "/dev/null"}),
}

# They open a WebSocket and print the echoes.
TALKING: Mapping[str, HttpsClient] = {
    "websockets": HttpsClient(
        "SSL_CERT_FILE",
        _python("websockets_echo.py"),
        # It sends CONNECT for ws:// as well.
        ways=("tunnel", "interception"),
    ),
    "aiohttp ws_connect": HttpsClient(
        "SSL_CERT_FILE",
        _python("aiohttp_echo.py"),
        proxies=("WS_PROXY", "WSS_PROXY"),
    ),
}

CLIENTS: Mapping[str, HttpsClient] = {**ASKING, **FETCHING, **TALKING}
