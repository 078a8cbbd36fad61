"""Ask through one requests.Session: python requests_session.py URL N."""

import sys

import requests

url, count = sys.argv[1], int(sys.argv[2])
with requests.Session() as session:
    for _ in range(count):
        response = session.get(url, timeout=10)
        response.raise_for_status()
        print(response.text)  # noqa: T201
