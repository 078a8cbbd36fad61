"""An origin that speaks WebSocket, by the protocol of the websockets library."""

from websockets.frames import Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol

from tests.support.origin import OriginConnection, Request


async def echo_messages(connection: OriginConnection) -> None:
    """Accept any handshake, then send each text back, until the client closes."""
    protocol = ServerProtocol()
    while not protocol.close_expected():
        data = await connection.reader.read(65536)
        if not data:
            return
        protocol.receive_data(data)
        for event in protocol.events_received():
            match event:
                case Handshake():
                    connection.origin.requests.append(Request(data))
                    protocol.send_response(protocol.accept(event))
                case Frame(opcode=Opcode.TEXT, data=text):
                    protocol.send_text(bytes(text))
                case _:
                    pass  # what the protocol answers by itself
        await connection.send(*protocol.data_to_send())
