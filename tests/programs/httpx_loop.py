"""Call httpx.get in a loop, without a Client: python httpx_loop.py URL N."""

import sys

import httpx

url, count = sys.argv[1], int(sys.argv[2])
for _ in range(count):
    response = httpx.get(url, timeout=10)
    response.raise_for_status()
    print(response.text)  # noqa: T201
