"""A server that reads what is uploaded: `python bench/sink.py PORT`.

nginx answers before it has read a body, or writes it to a disk; neither is what an
upload should be timed against.  Ends with a signal.
"""

import re
import socketserver
import sys

_LOOPBACK = "127.0.0.1"
_PIECE_BYTES = 256 * 1024
_LENGTH = re.compile(rb"^content-length: *(\d+)\r?$", re.IGNORECASE | re.MULTILINE)
_READ = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_NO_LENGTH = b"HTTP/1.1 411 Length Required\r\nConnection: close\r\n\r\n"


class _Handler(socketserver.StreamRequestHandler):
    """Serves requests of one connection, each of which has a length."""

    rbufsize = _PIECE_BYTES

    def handle(self) -> None:
        """Read to the end of every body, then answer."""
        piece = memoryview(bytearray(_PIECE_BYTES))
        while head := self._head():
            found = _LENGTH.search(head)
            if found is None:
                self.wfile.write(_NO_LENGTH)
                return
            rest = int(found.group(1))
            while rest:
                size = self.rfile.readinto(piece[: min(rest, _PIECE_BYTES)])
                if not size:
                    return
                rest -= size
            self.wfile.write(_READ)

    def _head(self) -> bytes:
        """Read lines up to the empty one; nothing at the end of the connection."""
        head = b""
        while line := self.rfile.readline():
            head += line
            if line == b"\r\n":
                return head
        return b""


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    with _Server((_LOOPBACK, int(sys.argv[1])), _Handler) as server:
        server.serve_forever()
