"""An origin that keeps connections, and tells what it has accepted every five seconds.

python origin.py PORT
"""

import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BODY = bytes(64 * 1024)
PAUSE_S = 5.0


class Origin(ThreadingHTTPServer):
    """Counts connections, and requests but for those of health checks."""

    daemon_threads = True
    connections = 0
    requests = 0

    def tell(self) -> None:
        """Print the counts without end."""
        while True:
            time.sleep(PAUSE_S)
            words = f"{self.requests} requests over {self.connections} connections"
            print(words, flush=True)  # noqa: T201


class Answer(BaseHTTPRequestHandler):
    """Answers every request with the same body."""

    protocol_version = "HTTP/1.1"
    server: Origin
    asked = 0

    def do_GET(self) -> None:  # noqa: N802 - the name that the library calls
        """Count and answer."""
        if self.path != "/healthz":
            self.server.requests += 1
            self.server.connections += self.asked == 0
            self.asked += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: Any) -> None:
        """Say nothing of single requests."""


def main(port: int) -> None:
    """Serve."""
    origin = Origin(("", port), Answer)
    threading.Thread(target=origin.tell, daemon=True).start()
    origin.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
