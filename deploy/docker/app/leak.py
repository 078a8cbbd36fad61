"""A program that leaks: python leak.py URL, ten times a second, until it is stopped.

Each call opens a connection of its own and leaves the body unread.  It follows
HTTP_PROXY, as most programs do, and needs the standard library only.
"""

import sys
import time
import urllib.request

PAUSE_S = 0.1
PATIENCE_S = 1.0


def main(url: str) -> None:
    """Ask without end; a sidecar that is not up yet is waited for."""
    while True:
        try:
            urllib.request.urlopen(url, timeout=10).close()  # noqa: S310 - http only
            time.sleep(PAUSE_S)
        except OSError as error:
            print(f"{url}: {error}", flush=True)  # noqa: T201
            time.sleep(PATIENCE_S)


if __name__ == "__main__":
    main(sys.argv[1])
