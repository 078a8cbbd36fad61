"""What downstream/client.py and listener.py take from aiohttp beyond its documentation.

Against aiohttp alone, on real sockets: where a test here fails after an update of
aiohttp, the seam has to be looked at.
"""

import asyncio
from collections import deque

import pytest
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage

from tests.support.bare import GET, MAX_FIELDS, Cancellable, protocol_of

# web.Server...


def test_the_parser_in_c_is_told_by_its_module():
    """The start is refused without it."""
    assert HttpRequestParser.__module__ == "aiohttp._http_parser"


async def test_a_server_makes_protocols_and_knows_their_transports(server, peer):
    """`_loop`, `_kwargs` and `_connections` are there; `connections` lists them."""
    protocol = await protocol_of(server, peer)

    assert server._loop is asyncio.get_running_loop()
    assert server._kwargs["max_headers"] == MAX_FIELDS
    assert server._connections == {protocol: protocol.transport}
    assert server.connections == [protocol]
    assert server.requests_count == 0


async def test_a_server_forgets_a_connection_once_its_task_has_ended(server, peer):
    """connection_lost(handler, exc) is how it is told."""
    protocol = await protocol_of(server, peer)
    peer[1].close()
    await protocol.until("lost")
    await protocol.until("cancelled")
    await asyncio.sleep(0)

    assert server.connections == []


async def test_pre_shutdown_closes_each_connection_softly(server, peer):
    """It sets `_close` and cancels `_waiter`: idle ones end, busy ones may finish."""
    protocol = await protocol_of(server, peer, b"GET ")
    server.pre_shutdown()
    await protocol.until("cancelled")

    assert protocol._close
    assert not protocol._force_close


async def test_shutdown_cancels_the_task_and_the_request(server, peer):
    """After its timeout; zero would be none at all."""
    protocol = await protocol_of(server, peer)
    request = protocol._current_request = Cancellable()
    transport = protocol.transport
    await server.shutdown(0.001)
    await protocol.until("cancelled")

    assert isinstance(request.cancelled[0], asyncio.CancelledError)
    assert transport.is_closing()
    assert server.connections == []


# RequestHandler...


async def test_a_protocol_starts_with_the_names_we_use(server):
    """Before a connection is made."""
    protocol = server()

    assert protocol._messages == deque()
    assert protocol._msg_queue_resume_size == 16
    assert protocol.transport is None
    for name in ("_waiter", "_current_request", "_task_handler"):
        assert getattr(protocol, name) is None
    for name in ("_close", "_force_close", "_buffer_paused", "_upgraded"):
        assert getattr(protocol, name) is False
    assert protocol._reading_paused is False


async def test_connection_made_starts_the_task_that_start_is(server, peer):
    """What we do in its place: transport, connection_made of the server, the task."""
    protocol = await protocol_of(server, peer)

    assert protocol.calls[0] == "start"
    assert protocol._task_handler.get_coro().__name__ == "start"
    assert protocol.peername == peer[1].get_extra_info("sockname")
    assert protocol.sockname == peer[1].get_extra_info("peername")


async def test_a_message_wakes_the_waiter(server, peer):
    """It is in `_messages`, with its body, when `_waiter` has its result."""
    protocol = await protocol_of(server, peer)

    assert protocol._waiter.done()
    ((message, content),) = protocol._messages
    assert isinstance(message, RawRequestMessage)
    assert content.is_eof()


async def test_an_incomplete_head_does_not(server, peer):
    """So that the time for it can be measured."""
    protocol = await protocol_of(server, peer, GET[:-2])

    assert not protocol._waiter.done()
    assert not protocol._messages


async def test_close_cancels_the_waiter_only(server, peer):
    """The transport stays open for what is still written."""
    protocol = await protocol_of(server, peer, b"GET ")
    protocol.close()
    await protocol.until("cancelled")

    assert protocol._close
    assert not protocol.transport.is_closing()


async def test_force_close_closes_the_transport_and_lets_go_of_it(server, peer):
    """After what has been written; the waiter is cancelled too."""
    protocol = await protocol_of(server, peer, b"GET ")
    protocol.transport.write(b"HTTP/1.1 408 Slow\r\n\r\n")
    protocol.force_close()

    assert protocol.transport is None
    assert protocol._force_close
    assert await peer[0].read() == b"HTTP/1.1 408 Slow\r\n\r\n"


async def test_after_a_close_nothing_more_is_parsed(server, peer):
    """What comes then is dropped."""
    protocol = await protocol_of(server, peer)
    protocol._close = True
    protocol.data_received(GET)

    assert len(protocol._messages) == 1


async def test_while_a_body_is_not_taken_reading_is_paused(server, peer):
    """So that nothing but the kernel tells that its sender has gone."""
    head = b"POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n"
    protocol = await protocol_of(server, peer, head % 2**20)
    protocol.data_received(bytes(2**19))

    assert protocol._reading_paused


async def test_messages_are_queued_in_one_deque_for_all_time(server, peer):
    """The intake holds on to it."""
    protocol = await protocol_of(server, peer)
    queue = protocol._messages
    protocol.data_received(GET)
    protocol.data_received(GET)

    assert protocol._messages is queue
    assert len(queue) == 3


async def test_a_lost_connection_cancels_request_and_task(server, peer):
    """handler_cancellation: who waits for an origin hears of it."""
    protocol = await protocol_of(server, peer)
    request = protocol._current_request = Cancellable()
    task = protocol._task_handler
    peer[1].transport.abort()
    await protocol.until("cancelled")

    assert isinstance(request.cancelled[0], ConnectionError)
    assert task.cancelling()
    assert protocol._task_handler is None
    assert protocol._parser is None
    assert protocol.transport is None


async def test_a_half_closed_connection_is_kept_if_eof_received_says_so(server, peer):
    """On both loops it can still be written to."""
    protocol = await protocol_of(server, peer)
    protocol.keep_open = True
    peer[1].write_eof()
    await protocol.until("eof")
    protocol.transport.write(b"late")

    assert await peer[0].readexactly(4) == b"late"
    assert "lost" not in protocol.calls


async def test_with_a_limit_of_zero_writing_pauses_while_anything_waits(server, peer):
    """Paused once the kernel takes no more, resumed when it has taken all."""
    protocol = await protocol_of(server, peer)
    protocol.transport.set_write_buffer_limits(high=0)
    protocol.transport.write(b"small")
    assert not protocol.writing_paused
    protocol.transport.write(b"x" * 20_000_000)

    assert protocol.writing_paused
    assert protocol.transport.get_write_buffer_size() > 0
    await peer[0].readexactly(20_000_005)
    await protocol.until("resume")
    assert protocol.transport.get_write_buffer_size() == 0
    assert protocol.calls.count("pause") == 1


async def test_a_pipeline_stops_at_32_messages_and_goes_on_at_16(server, peer):
    """`message_consumed` makes room, `_resume_reading_if_drained` reads on."""
    protocol = await protocol_of(server, peer, GET * 100)
    assert len(protocol._messages) == 32
    assert protocol._buffer_paused

    for _ in range(16):
        protocol._messages.popleft()
        protocol._parser.message_consumed()
    protocol._resume_reading_if_drained()

    assert len(protocol._messages) == 32
    protocol._messages.clear()


# Switching protocols...


async def test_behind_connect_nothing_is_parsed(server, peer):
    """`_upgraded` is set, and what came behind stands in `_message_tail`."""
    connect = b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n"
    protocol = await protocol_of(server, peer, connect + GET)

    ((message, content),) = protocol._messages
    assert (message.method, message.upgrade) == ("CONNECT", True)
    assert content.is_eof()
    assert protocol._upgraded
    assert protocol._message_tail == GET


@pytest.mark.parametrize("protocol_name", ["websocket", "WebSocket"])
async def test_behind_a_websocket_handshake_nothing_is_parsed(
    server, peer, protocol_name
):
    """Likewise."""
    field = f"Connection: Upgrade\r\nUpgrade: {protocol_name}\r\n\r\n".encode()
    protocol = await protocol_of(server, peer, GET[:-2] + field + GET)

    ((message, _),) = protocol._messages
    assert message.upgrade
    assert protocol._upgraded
    assert protocol._message_tail == GET


async def test_behind_another_protocols_handshake_bytes_are_lost(server, peer):
    """Those of the same packet: the intake finds them itself."""
    field = b"Connection: Upgrade\r\nUpgrade: other\r\n\r\n"
    protocol = await protocol_of(server, peer, GET[:-2] + field + GET)

    ((message, _),) = protocol._messages
    assert message.upgrade
    assert not protocol._upgraded
    assert protocol._message_tail == b""
    protocol.data_received(GET)
    assert len(protocol._messages) == 2


async def test_messages_are_counted(server, peer):
    """`_request_count`: a client that asked for nothing is told by it."""
    protocol = await protocol_of(server, peer, GET + GET)

    assert protocol._request_count == 2
