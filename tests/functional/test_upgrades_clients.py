"""A real WebSocket client and server, through the proxy as through any other."""

import os

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.tunnels import MIB, gone, only


async def test_websocket_messages_of_aiohttp_pass_both_ways(proxy):
    """Text, bytes, compressed or not, pings and the close code."""

    async def talk(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.data == "end":
                await socket.close(code=4001, message=b"as you wish")
            else:
                await socket.send_bytes(message.data)
        return socket

    app = web.Application()
    app.router.add_get("/talk", talk)
    data = os.urandom(MIB)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        url = f"ws://origin.test:{server.port}/talk"
        for compress in (0, 15):
            async with session.ws_connect(
                url, proxy=proxy.url, compress=compress, max_msg_size=0
            ) as socket:
                await socket.send_bytes(data)
                assert await socket.receive_bytes() == data
                await socket.ping()
                await socket.send_bytes(b"more")
                assert await socket.receive_bytes() == b"more"
                assert only(proxy).connection.state == "tunnel"
                await socket.send_str("end")
                assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
                assert socket.close_code == 4001
            await gone(proxy)
