"""Randomised origins and clients with marked bodies, for the stress tests.

What an origin does with a request stands in the request's path, so that origin and
client agree on it without talking to each other; which bytes belong to a request
follows from its number.
"""

import asyncio
import contextlib
import os
import random
import select
import ssl
from collections import Counter
from dataclasses import dataclass

from reuse_proxy.config.address import Address
from tests.support.client import Client
from tests.support.origin import OriginConnection, Request

MIB = 1024 * 1024
MAX_SIZE = 2 * MIB
_BUFFER = random.Random(1).randbytes(2 * MAX_SIZE)  # noqa: S311
_PIECE = 128 * 1024

BEHAVIOURS = {
    "normal": 70,
    "announce_close": 4,
    "close": 4,
    "close_idle": 4,
    "speak_idle": 4,
    "truncate": 4,
    "reset": 4,
    "stall": 2,
    "early": 2,
    "ignore": 2,
}
ABORTS = {"never": 75, "queue": 5, "head": 8, "body": 12}


def marked(number: int, size: int) -> memoryview:
    """The bytes that belong to an exchange and to no other."""
    start = number * 7919 % MAX_SIZE
    return memoryview(_BUFFER)[start : start + size]


@dataclass(frozen=True)
class Plan:
    """One exchange: who asks whom for what, and what goes wrong."""

    number: int
    origin: int
    method: str
    size: int
    chunked: bool
    behaviour: str
    abort: str
    upload: int
    pause: float

    @property
    def path(self) -> str:
        """The plan, as the origin needs to know it."""
        framing = "chunked" if self.chunked else "counted"
        return f"/{self.number}/{self.size}/{framing}/{self.behaviour}"


def plan(number: int, rng: random.Random, *, origins: int) -> Plan:
    """Draw an exchange."""
    method = rng.choices(["GET", "POST", "PUT", "HEAD"], [70, 12, 12, 6])[0]
    return Plan(
        number=number,
        origin=rng.randrange(origins),
        method=method,
        size=int(MAX_SIZE * rng.random() ** 4),
        chunked=rng.random() < 0.4,
        behaviour=rng.choices([*BEHAVIOURS], [*BEHAVIOURS.values()])[0],
        abort=rng.choices([*ABORTS], [*ABORTS.values()])[0],
        upload=rng.choice([1, 5000, 70_000, 300_000]) if method[0] == "P" else 0,
        pause=rng.random() * 0.02,
    )


async def misbehave(connection: OriginConnection) -> None:
    """Follow the plan in each request's path."""
    while True:
        request = await connection.head()
        connection.origin.requests.clear()
        _, number, size, framing, behaviour = request.target.decode().split("/")
        if behaviour != "early":
            await connection.body(request)
            mark = marked(int(number), len(request.body))
            if request.body and request.body != mark:
                behaviour = "wrong_upload"
        if not await _answer(
            connection, request, int(number), int(size), framing, behaviour
        ):
            return


async def _answer(  # noqa: C901 - a table of misdeeds
    connection: OriginConnection,
    request: Request,
    number: int,
    size: int,
    framing: str,
    behaviour: str,
) -> bool:
    """Send a response; tell whether the connection goes on."""
    if behaviour in ("ignore", "wrong_upload"):
        if behaviour == "wrong_upload":
            await connection.reply(b"wrong upload", status=599)
        return behaviour != "ignore"
    fields = b"X-Number: %d\r\n" % number
    if behaviour == "announce_close":
        fields += b"Connection: close\r\n"
    chunked = framing == "chunked"
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    await connection.send(b"HTTP/1.1 200 OK\r\n", fields, length, b"\r\n\r\n")
    if request.method == b"HEAD":
        return behaviour == "normal"
    stop = size // 2 if behaviour in ("truncate", "reset", "stall") else size
    await _send_body(connection, marked(number, size)[:stop], chunked=chunked)
    if behaviour == "stall":
        await connection.closed()
    if behaviour == "reset":
        connection.reset()
    if behaviour in ("truncate", "reset", "stall"):
        return False
    if chunked:
        await connection.send(b"0\r\n\r\n")
    return await _afterwards(connection, number, behaviour)


async def _send_body(
    connection: OriginConnection, body: memoryview, *, chunked: bool
) -> None:
    for start in range(0, len(body), _PIECE):
        piece = bytes(body[start : start + _PIECE])
        if chunked:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        await connection.send(piece)


async def _afterwards(
    connection: OriginConnection, number: int, behaviour: str
) -> bool:
    if behaviour == "speak_idle":
        await asyncio.sleep(number % 5 / 1000)
        if not _speak_unasked(connection):
            return True
        await connection.closed()
    if behaviour == "close_idle":
        await asyncio.sleep(number % 7 / 1000)
    return behaviour == "normal"


def _speak_unasked(connection: OriginConnection) -> bool:
    """Send a response that nobody asked for, unless a request has just come.

    No proxy can tell such bytes from a response once a request is under way, so
    they are written at once, past the loop, while none is.
    """
    descriptor = connection.writer.get_extra_info("socket").fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if connection.writer.is_closing() or connection.asked or poll.poll(0):
        return False
    with contextlib.suppress(ConnectionError):
        os.write(
            descriptor,
            b"HTTP/1.1 200 OK\r\nX-Number: 0\r\nContent-Length: 5\r\n\r\nWRONG",
        )
    return True


class ChaosClient:
    """Runs plans against a proxy and judges what comes back."""

    def __init__(
        self,
        proxy: Address,
        urls: list[str],
        *,
        inside: ssl.SSLContext | None = None,
    ) -> None:
        self._proxy = proxy
        self._urls = urls
        # What a client trusts that speaks TLS inside of CONNECT.
        self._inside = inside
        self.outcomes: Counter[str] = Counter()

    async def run(self, plans: list[Plan]) -> None:
        """Run plans one after another, on one connection while it lasts.

        Inside of CONNECT it is one for each origin.
        """
        clients: dict[int, Client] = {}
        try:
            for each in plans:
                key = each.origin if self._inside else 0
                if key not in clients:
                    clients[key] = await self._connect(each)
                outcome = "broken"
                with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                    outcome = await self._exchange(clients[key], each)
                self.outcomes[outcome] += 1
                if outcome != "whole":
                    await clients.pop(key).close()
        finally:
            for client in clients.values():
                await client.close()

    async def _connect(self, each: Plan) -> Client:
        client = await Client(self._proxy).__aenter__()
        if self._inside is not None:
            authority = self._urls[each.origin].split("/")[2]
            assert await client.connect(authority) == 200
            await client.start_tls(self._inside, authority.partition(":")[0])
        return client

    async def _exchange(self, client: Client, each: Plan) -> str:
        url = self._urls[each.origin] + each.path
        authority = url.split("/")[2]
        target = each.path if self._inside else url
        head = f"{each.method} {target} HTTP/1.1\r\nHost: {authority}\r\n"
        upload = bytes(marked(each.number, each.upload))
        if each.upload and each.chunked:
            head += "Transfer-Encoding: chunked\r\n"
            upload = b"%x\r\n%b\r\n0\r\n\r\n" % (len(upload), upload)
        elif each.upload:
            head += f"Content-Length: {each.upload}\r\n"
        await client.send(head.encode(), b"\r\n", upload[: len(upload) // 2])
        if each.abort == "queue":
            return _abort(client, each)
        await client.send(upload[len(upload) // 2 :])
        if each.abort == "head":
            await asyncio.sleep(each.pause)
            return _abort(client, each)
        async with asyncio.timeout(60):
            return await self._judge(client, each)

    async def _judge(self, client: Client, each: Plan) -> str:
        """Return how the exchange ended; wrong bytes are an AssertionError."""
        raw = await client.reader.readuntil(b"\r\n\r\n")
        lines = raw.decode("latin-1").lower().split("\r\n")
        status = int(lines[0].split(" ")[1])
        fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        if status != 200:
            assert "proxy-status" in fields, raw
            await client.reader.readexactly(
                0 if each.method == "HEAD" else int(fields["content-length"])
            )
            return f"refused {status}"
        assert fields["x-number"] == str(each.number), (each, raw)
        if each.method != "HEAD":
            await self._check_body(client, each, chunked="content-length" not in fields)
        return "whole" if "connection" not in fields else "whole, closed"

    async def _check_body(self, client: Client, each: Plan, *, chunked: bool) -> None:
        expected = marked(each.number, each.size)
        position = 0
        left = await _chunk_size(client) if chunked else each.size
        while left:
            data = await client.reader.read(min(left, _PIECE))
            if not data:
                raise ConnectionError("truncated, and seen to be")
            assert data == expected[position : position + len(data)], each
            position += len(data)
            left -= len(data)
            if each.abort == "body" and position > each.size // 3:
                raise ConnectionAbortedError(_abort(client, each))
            if chunked and not left:
                await client.reader.readexactly(2)
                left = await _chunk_size(client)
        assert position == each.size, each


async def _chunk_size(client: Client) -> int:
    line = await client.reader.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("truncated, and seen to be")
    size = int(line, 16)
    if not size:
        await client.reader.readexactly(2)
    return size


def _abort(client: Client, each: Plan) -> str:
    if each.number % 2:
        client.reset()
    else:
        client.writer.transport.abort()
    return f"aborted in {each.abort}"
