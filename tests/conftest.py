"""Fixtures for all tests: a loop of each kind, real proxies, origins and clients."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop

from reuse_proxy.config.loading import load
from reuse_proxy.config.settings import Settings
from reuse_proxy.service import Service
from tests.support.books import assert_balanced
from tests.support.client import Client
from tests.support.logs import AccessFile
from tests.support.names import Names
from tests.support.origin import Origin, Script, serve_paths
from tests.support.tls import LocalAuthority, OriginAuthority

MakeProxy = Callable[..., Any]
LONGEST = (
    "test_docker_image",
    "test_random_exchanges",
    "test_memory",
    "test_never_readers",
    "test_monitoring",
)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], Any]]:
    """Run every asynchronous test on asyncio's loop and on uvloop."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_configure() -> None:
    """Take the signals that a shell's job in the background is told to ignore."""
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGQUIT, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: at the end everybody would wait for it."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.fixture
def names() -> Names:
    """Names that resolve: everything below .test is 127.0.0.1 unless said otherwise."""
    return Names()


@pytest.fixture
async def make_proxy(names: Names) -> AsyncIterator[MakeProxy]:
    """Start proxies with given settings; at the end their books must balance."""
    async with AsyncExitStack() as stack:
        services: list[Service] = []

        async def make(log: AccessFile | None = None, **settings: object) -> Service:
            # Look-ups of processes open files, which tests of descriptors count.
            values = {"client_processes": "false", **settings}
            values = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", **values}
            loaded = load({k: str(v) for k, v in values.items()}, {}, None)
            lines = None
            if log is not None:
                lines = await stack.enter_async_context(log.opened())
            service = await stack.enter_async_context(
                Service(loaded, resolver=names, lines=lines)
            )
            services.append(service)
            return service

        yield make
        for service in services:
            await assert_balanced(service)


@pytest.fixture
async def proxy(make_proxy: MakeProxy) -> Service:
    """A proxy with default settings."""
    return await make_proxy()


@pytest.fixture
async def make_origin() -> AsyncIterator[Callable[..., Any]]:
    """Start origins that follow a script."""
    async with AsyncExitStack() as stack:

        async def make(script: Script = serve_paths, **options: Any) -> Origin:
            return await stack.enter_async_context(Origin(script, **options))

        yield make


@pytest.fixture
async def origin(make_origin: Callable[..., Any]) -> Origin:
    """An origin that serves /bytes/N, /chunked/N, /slow, /echo and so on."""
    return await make_origin()


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> OriginAuthority:
    """The authority that the origins with TLS have their certificates from."""
    return OriginAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def local_ca(tmp_path_factory) -> LocalAuthority:
    """A local CA for interception."""
    return LocalAuthority.made(tmp_path_factory.mktemp("local") / "ca")


@pytest.fixture
async def tls_origin(make_origin, authority) -> Origin:
    """Like `origin`, with TLS."""
    return await make_origin(tls=authority.server())


@pytest.fixture
async def make_client() -> AsyncIterator[Callable[..., Any]]:
    """Open raw client connections to a proxy."""
    async with AsyncExitStack() as stack:

        async def make(service: Service) -> Client:
            return await stack.enter_async_context(Client(service.listening[0]))

        yield make


@pytest.fixture
async def client(make_client: Callable[..., Any], proxy: Service) -> Client:
    """A raw client connection to the default proxy."""
    return await make_client(proxy)


@pytest.fixture
def repository() -> Path:
    """The top of the source tree."""
    return Path(__file__).parents[1]


@pytest.fixture
def default_settings() -> Settings:
    """Settings as they are when nothing is set."""
    return load({}, {}, None).settings
