"""Send one GET from a given address: `get_from.py SOURCE HOST PORT TARGET`.

Writes the status, the head and the body; the status is 0 where nobody listens.
"""

import http.client
import sys

source, host, port, target = sys.argv[1:]
connection = http.client.HTTPConnection(
    host, int(port), timeout=15, source_address=(source, 0)
)
try:
    connection.request("GET", target)
except ConnectionRefusedError:
    sys.stdout.write("0\n\n")
else:
    response = connection.getresponse()
    head = "".join(f"{name}: {value}\n" for name, value in response.getheaders())
    body = response.read().decode()
    sys.stdout.write(f"{response.status}\n{head}\n{body}")
