"""How TLS is opened on a connection that bytes have been read from, on both loops.

What ``downstream/intercept.py`` relies on: nothing here is ours but ``feed``.
"""

import asyncio
import ssl

import pytest

from reuse_proxy.downstream.intercept import feed


class Noting(asyncio.Protocol):
    """Notes what it is called with."""

    def __init__(self):
        self.made = 0
        self.data = b""
        self.changed = asyncio.Event()

    def connection_made(self, transport):
        """Note."""
        self.made += 1
        self.transport = transport

    def data_received(self, data):
        """Note."""
        self.data += data
        self.changed.set()


@pytest.fixture
async def accepted():
    """A listening server, and the protocols of what it has accepted."""
    protocols: asyncio.Queue[Noting] = asyncio.Queue()

    def make():
        protocols.put_nowait(protocol := Noting())
        return protocol

    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    yield server.sockets[0].getsockname(), protocols
    server.close()
    await server.wait_closed()


async def opened(protocol, context):
    """Open TLS behind what has been read already."""
    loop = asyncio.get_running_loop()
    await protocol.changed.wait()
    raw = protocol.transport
    raw.pause_reading()
    inner = Noting()
    opening = loop.create_task(loop.start_tls(raw, inner, context, server_side=True))
    loop.call_soon(loop.call_soon, feed, raw, protocol.data)
    return await opening, inner


async def test_bytes_that_were_read_before_can_be_fed_to_tls(accepted, authority):
    """The client's hello, that is; what comes next is read from the socket."""
    address, protocols = accepted
    async with asyncio.timeout(10):
        connecting = asyncio.create_task(  # noqa: TID251
            asyncio.open_connection(
                *address, ssl=authority.client(), server_hostname="a.test"
            )
        )
        tls, inner = await opened(await protocols.get(), authority.server())
        reader, writer = await connecting
        writer.write(b"ping")
        while inner.data != b"ping":
            inner.changed.clear()
            await inner.changed.wait()
        tls.write(b"pong")

        assert await reader.readexactly(4) == b"pong"
        assert inner.made == 0  # start_tls does not call it
        assert tls.get_extra_info("ssl_object") is not None
        assert tls.get_extra_info("socket").fileno() >= 0
        assert not tls.can_write_eof()
        writer.transport.abort()
        tls.abort()


async def test_a_tls_transport_takes_another_protocol(accepted, authority):
    """What comes from then on goes to it."""
    address, protocols = accepted
    async with asyncio.timeout(10):
        connecting = asyncio.create_task(  # noqa: TID251
            asyncio.open_connection(
                *address, ssl=authority.client(), server_hostname="a.test"
            )
        )
        tls, inner = await opened(await protocols.get(), authority.server())
        _, writer = await connecting
        other = Noting()
        tls.set_protocol(other)
        writer.write(b"later")
        await other.changed.wait()

        assert (inner.data, other.data) == (b"", b"later")
        writer.transport.abort()
        tls.abort()


async def test_with_a_mark_of_one_tls_pauses_only_while_something_waits(
    accepted, authority
):
    """A mark of zero would pause at the first byte, and stay so."""

    class Pausing(Noting):
        paused = 0
        resumed = asyncio.Event()

        def pause_writing(self):
            self.paused += 1

        def resume_writing(self):
            self.resumed.set()

    address, protocols = accepted
    async with asyncio.timeout(10):
        connecting = asyncio.create_task(  # noqa: TID251
            asyncio.open_connection(
                *address, ssl=authority.client(), server_hostname="a.test"
            )
        )
        outer = await protocols.get()
        await outer.changed.wait()
        outer.transport.set_write_buffer_limits(0)
        tls, _ = await opened(outer, authority.server())
        reader, writer = await connecting
        protocol = Pausing()
        protocol.resumed = asyncio.Event()
        tls.set_protocol(protocol)
        tls.set_write_buffer_limits(1, 0)
        tls.write(b"small")
        assert protocol.paused == 0
        for _ in range(200):
            tls.write(b"x" * 100_000)
        assert protocol.paused == 1
        await reader.readexactly(5 + 200 * 100_000)
        await protocol.resumed.wait()

        assert tls.get_write_buffer_size() == 0
        writer.transport.abort()
        tls.abort()


async def test_the_loops_ask_their_context_for_the_tls_object(accepted, authority):
    """So that a context of ours can offer a session (upstream/tls.py)."""
    asked = []

    class Asked(ssl.SSLContext):
        def wrap_bio(self, *args, **kwargs):
            asked.append((args[2:], kwargs))
            return super().wrap_bio(*args, **kwargs)

    address, protocols = accepted
    context = Asked(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.file)
    async with asyncio.timeout(10):
        connecting = asyncio.create_task(  # noqa: TID251
            asyncio.open_connection(*address, ssl=context, server_hostname="a.test")
        )
        tls, _ = await opened(await protocols.get(), authority.server())
        _, writer = await connecting

        assert asked == [((), {"server_side": False, "server_hostname": "a.test"})]
        writer.transport.abort()
        tls.abort()
