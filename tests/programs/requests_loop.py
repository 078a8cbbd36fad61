"""Call requests.get in a loop, without a Session: python requests_loop.py URL N."""

import sys

import requests

url, count = sys.argv[1], int(sys.argv[2])
for _ in range(count):
    response = requests.get(url, timeout=10)
    response.raise_for_status()
    print(response.text)  # noqa: T201
