"""A fleet in trouble: everything that an alert or a panel is about happens, then ends.

Three real proxies, origins and clients, watched by a real Prometheus.
"""

import asyncio
import base64
import contextlib
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.client import Client, request_bytes
from tests.support.origin import Origin, OriginConnection, Script, serve_paths
from tests.support.prometheus import Prometheus
from tests.support.serving import Serving, serving
from tests.support.tls import OriginAuthority

PER_ORIGIN, SOCKETS = 4, 8
_LOCAL = "127.0.0.1"


Run = Callable[[Path, list[str]], Prometheus]


@dataclass
class Story:
    """What happened, at moments of Prometheus' clock.

    Attributes:
        expected: the alerts that should fire, and whom each should name.
        slow: the label of the origin that does not answer.
        held: connections that it had at the worst, as it counted them itself.
        before: a load, and all is well.
        worst: everything that may go wrong does.
        after: the load goes on, and the troubles are over.
        alerts: what fired at the worst, as the API told it.
    """

    prometheus: Prometheus
    expected: dict[str, dict[str, str]]
    slow: str
    held: int = 0
    before: float = 0.0
    worst: float = 0.0
    after: float = 0.0
    alerts: list[dict[str, Any]] = field(default_factory=list)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Ask Prometheus now and then, until a condition holds.

        Raises:
            AssertionError: it does not within a minute.
        """
        try:
            async with asyncio.timeout(60):
                while not await asyncio.to_thread(condition):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(
                f"{condition.__name__} has not come true; {self._names()} fire"
            ) from None

    def is_under_way(self) -> bool:
        """Tell whether all proxies are scraped and the first rates are known."""
        up = self._now("count(up == 1) == 3")
        return up and self._now("job:reuse_proxy_pooled_requests:rate5m > 1")

    def is_at_its_worst(self) -> bool:
        """Tell whether every alert fires, and everything else has happened, too."""
        return self._names() >= set(self.expected) and all(
            self._now(f"sum(reuse_proxy_{name}) > 0")
            for name in ("retries_total", "drains_total", "client_stalls_total")
        )

    def is_over(self) -> bool:
        """Tell whether no alert fires."""
        return not self._names()

    def _names(self) -> set[str]:
        """Name the alerts that fire."""
        return {alert["labels"]["alertname"] for alert in self.prometheus.firing()}

    def _now(self, condition: str) -> bool:
        at = self.prometheus.now()
        return bool(self.prometheus.query(condition, at=at))


async def close_each(connection: OriginConnection) -> None:
    """Answer one request, and close."""
    await connection.request()
    await connection.reply(b"last", b"Connection: close")


async def forget(connection: OriginConnection) -> None:
    """Answer one request, and hang up on the second."""
    await connection.request()
    await connection.reply(b"first")
    await connection.request()


async def half_close(connection: OriginConnection) -> None:
    """Send the end, and stay."""
    connection.writer.write_eof()
    await connection.closed()


def named(name: str) -> str:
    """Spell the field by which a client names itself, as a proxy URL's user does."""
    return (
        f"Proxy-Authorization: Basic {base64.b64encode(f'{name}:'.encode()).decode()}"
    )


class Trouble:
    """The cast of the story: proxies and origins, and what clients do with them."""

    def __init__(
        self, stack: AsyncExitStack, authority: OriginAuthority, folder: Path
    ) -> None:
        self._stack = stack
        self._authority = authority
        self._settings = folder / "settings.toml"
        self.over = asyncio.Event()
        self.origins: dict[str, Origin] = {}
        self.urls: dict[str, str] = {}
        self.proxies: list[Serving] = []

    # The cast...

    async def set_up(self) -> None:
        """Start the origins and three proxies."""
        scripts: dict[str, Script] = {
            **dict.fromkeys(("well", "slow", "big", "tls"), serve_paths),
            "closing": close_each,
            "forgetful": forget,
            "half": half_close,
        }
        for name, script in scripts.items():
            tls = self._authority.server() if name == "tls" else None
            origin = await self._enter(Origin(script, name=_LOCAL, tls=tls))
            self.origins[name] = origin
            self.urls[name] = f"http://{_LOCAL}:{origin.port}"
        # Nobody listens there, until it comes back.
        async with Origin(serve_paths, name=_LOCAL) as gone:
            self.urls["gone"] = gone.url
        flags = (
            *("--max-per-origin", str(PER_ORIGIN), "--queue-timeout", "120"),
            *("--connect-ports", str(self.origins["half"].port)),
            *("--originate-tls", f"{_LOCAL}:{self.origins['tls'].port}"),
            *("--ca-file", str(self._authority.file)),
            *("--client-stall-timeout", "1s", "--breaker-time", "1s"),
        )
        self._settings.write_text(f"max_sockets = {SOCKETS}\n")
        for more in (flags, ("--config", str(self._settings)), ()):
            proxy = await self._enter(serving("--idle-timeout", "2s", *more))
            self.proxies.append(proxy)

    async def _enter(self, thing: Any) -> Any:
        return await self._stack.enter_async_context(thing)

    # What clients do...

    async def keep_asking(
        self, proxy: Serving, origin: str, end: asyncio.Event
    ) -> None:
        """Send requests on one connection, as a good client does."""
        async with Client(proxy.listening) as client:
            while await _goes_on(end):
                await client.get(f"{self.urls[origin]}/", named("keeper"))

    async def leak(self, proxy: Serving) -> None:
        """Send each request on a connection of its own."""
        while await _goes_on(self.over):
            async with Client(proxy.listening) as client:
                await client.get(f"{self.urls['well']}/", named("cron"))

    async def hold(self, proxy: Serving, count: int) -> None:
        """Send requests that the slow origin does not answer before the end."""
        async with AsyncExitStack() as stack:
            wait = request_bytes(f"{self.urls['slow']}/wait", named("app"))
            opened = [Client(proxy.listening) for _ in range(count)]
            for client in opened:
                await stack.enter_async_context(client)
                await client.send(wait)
            await self.over.wait()
            self.origins["slow"].release.set()
            for client in opened:
                assert (await client.response()).body == b"done"

    async def keep_tunnels(self, proxy: Serving, count: int) -> None:
        """Open tunnels whose other end has ended, and stay."""
        async with AsyncExitStack() as stack:
            for _ in range(count):
                client = await stack.enter_async_context(Client(proxy.listening))
                assert await client.connect(self.origins["half"].authority) == 200
            await self.over.wait()

    async def misbehave(self, proxy: Serving) -> None:
        """Do once or a few times what a panel shows and no alert is about."""
        for url in (
            *[f"{self.urls['forgetful']}/"] * 2,  # the second one is sent again
            f"{self.urls['tls']}/",
            f"{self.urls['well']}/".replace(_LOCAL, "localhost"),
            "http://169.254.169.254/",
        ):
            async with Client(proxy.listening) as client:
                await client.get(url, named("tester"))
        big = f"{self.urls['big']}/bytes/"
        for _ in range(3):
            async with Client(proxy.listening) as client:
                await client.send(request_bytes(f"{big}4000000", named("hasty")))
                await client.reader.readuntil(b"\r\n\r\n")
                client.reset()
        async with Client(proxy.listening) as client:
            await client.send(request_bytes(f"{big}32000000", named("sleeper")))
            await self.over.wait()

    # What operators do...

    def change(self, proxy: Serving, settings: str) -> None:
        """Change the settings, and say so."""
        self._settings.write_text(settings)
        proxy.signal(signal.SIGHUP)

    # The end...

    async def make_up(self) -> None:
        """End every trouble: clients stop, who was gone comes back."""
        self.over.set()
        first, second, third = self.proxies
        self.change(second, f"max_sockets = {SOCKETS}\n")
        port = int(self.urls["gone"].rpartition(":")[2])
        await self._enter(Origin(serve_paths, name=_LOCAL, listen=port))
        await self._enter(serving("--admin", str(third.admin)))
        async with Client(first.listening) as client:
            while (await client.get(f"{self.urls['gone']}/")).status != 200:
                await asyncio.sleep(0.1)

    def expected(self) -> dict[str, dict[str, str]]:
        """Say which alerts are to fire, and whom each is to name."""
        first, second, third = (str(proxy.admin) for proxy in self.proxies)
        return {
            "ReuseProxyDown": {"instance": third},
            "ReuseProxyRequestsWait": {"instance": first},
            "ReuseProxyBreakerOpen": {"origin": self.urls["gone"]},
            "ReuseProxySocketsAtCap": {"instance": second},
            "ReuseProxyOriginAtCap": {"instance": first, "origin": self.urls["slow"]},
            "ReuseProxyReuseLow": {"origin": self.urls["closing"]},
            "ReuseProxyClientLeaks": {"client": "cron"},
            "ReuseProxyCloseWaitGrows": {"instance": first},
            "ReuseProxyReloadFailed": {"instance": second},
        }


async def _goes_on(end: asyncio.Event) -> bool:
    """Wait for a tenth of a second, or for the end."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await end.wait()
    return not end.is_set()


async def tell(folder: Path, authority: OriginAuthority, run: Run) -> Story:
    """Let it all happen.

    Args:
        folder: where Prometheus lives, and a settings file.
        authority: of the origin that speaks TLS.
        run: starts Prometheus on given targets; it may outlive the story.
    """
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as clients:
        trouble = Trouble(stack, authority, folder)
        await trouble.set_up()
        first, second, third = trouble.proxies
        prometheus = run(folder, [str(proxy.admin) for proxy in trouble.proxies])
        story = Story(prometheus, trouble.expected(), trouble.urls["slow"])
        end = asyncio.Event()
        for proxy in (first, second):
            clients.create_task(trouble.keep_asking(proxy, "well", end))
        await story.until(story.is_under_way)
        story.before = prometheus.now()

        for work in (
            trouble.hold(first, 2 * PER_ORIGIN),
            trouble.hold(second, SOCKETS - 1),
            trouble.keep_tunnels(first, 6),
            trouble.leak(first),
            trouble.keep_asking(first, "closing", trouble.over),
            trouble.keep_asking(first, "gone", trouble.over),
            trouble.misbehave(first),
        ):
            clients.create_task(work)
        third.signal()
        trouble.change(second, "max_sockets = many\n")
        await story.until(story.is_at_its_worst)
        story.worst, story.alerts = prometheus.now(), prometheus.firing()
        story.held = trouble.origins["slow"].open

        await trouble.make_up()
        await story.until(story.is_over)
        story.after = prometheus.now()
        end.set()
    return story
