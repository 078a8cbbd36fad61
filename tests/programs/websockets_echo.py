"""Say something N times and print the echoes: python websockets_echo.py URL N."""

import sys

from websockets.sync.client import connect

with connect(sys.argv[1]) as socket:
    for number in range(int(sys.argv[2])):
        socket.send(f"number {number}")
        print(socket.recv(timeout=10))  # noqa: T201
