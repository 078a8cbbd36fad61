"""An origin that keeps connections: python origin.py PORT SECONDS.

Each so many seconds it tells what it has accepted.
"""

import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = bytes(64 * 1024)


class Origin(ThreadingHTTPServer):
    """Counts connections, and requests but for those of health checks."""

    daemon_threads = True
    connections = 0
    requests = 0

    def tell(self, pause_s: float) -> None:
        """Print the counts without end."""
        while True:
            time.sleep(pause_s)
            words = f"{self.requests} requests over {self.connections} connections"
            print(words, flush=True)  # noqa: T201


class Answer(BaseHTTPRequestHandler):
    """Answers every request with the same body."""

    protocol_version = "HTTP/1.1"
    server: Origin
    asked = 0

    def do_GET(self) -> None:
        """Count and answer."""
        if self.path != "/healthz":
            self.server.requests += 1
            self.server.connections += self.asked == 0
            self.asked += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        """Say nothing of single requests."""


def main(port: int, pause_s: float) -> None:
    """Serve."""
    origin = Origin(("", port), Answer)
    threading.Thread(target=origin.tell, args=[pause_s], daemon=True).start()
    origin.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
