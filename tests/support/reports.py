"""Reports as the admin listener serves them, with any value replaced."""

from typing import Any

from reuse_proxy.report.document import VERSION, ClientEntry, Fix, OriginEntry, Report

PER_REQUEST_FIX = Fix(
    family="requests",
    summary="Keep one requests.Session for the life of the program.",
    steps=[
        (
            "Make it outside of the loop: a call of `requests.get` opens a connection of its"
            " own, and closes it again."
        ),
        "Send every request with it.",
    ],
    code=[
        "session = requests.Session()",
        "for url in urls:",
        "    response = session.get(url, timeout=10)",
    ],
)
UNREAD_FIX = Fix(
    family="go",
    summary="Read the body to its end, then close it.",
    steps=["Also where only the status is of interest, and after an error."],
    code=[
        "defer func() {",
        "\tio.Copy(io.Discard, response.Body)",
        "\tresponse.Body.Close()",
        "}()",
    ],
)


def client(name: str, verdict: str = "ok", **values: Any) -> ClientEntry:
    """Make the entry of a client."""
    entry: dict[str, Any] = {
        "client": name,
        "verdict": verdict,
        "evidence": "250 requests over 5 connections, 50.0 on each.",
        "fix": None,
        "processes": [],
        "requests": 250,
        "connections": 5,
        "connections_open": 1,
        "requests_per_connection": 50.0,
        "needless_connections": 0,
        "close_requests": 0,
        "aborts": {"queue": 0, "head": 0, "body": 0},
        "stalls": 0,
        "bodies_unread": 0,
        "tunnels": 0,
        "short_tunnels": 0,
        "upstream_opened": 2,
        "upstream_reused": 248,
        "misses": {"none_idle": 2},
        "bytes_received": 40_000,
        "bytes_sent": 9_000_000,
        "estimated_connections_saved": 3,
        "estimated_handshake_seconds_saved": 0.12,
    }
    return ClientEntry(**(entry | values))  # type: ignore[typeddict-item] # made above


def origin(name: str, **values: Any) -> OriginEntry:
    """Make the entry of an origin."""
    entry: dict[str, Any] = {
        "origin": name,
        "requests": 1840,
        "opened": 6,
        "reused": 1834,
        "open": 2,
        "tunnels": 0,
        "connect_failures": 0,
        "estimated_connections_saved": 1590,
        "estimated_handshake_seconds_saved": 41.5,
    }
    return OriginEntry(**(entry | values))  # type: ignore[typeddict-item] # likewise


def report(**values: Any) -> Report:
    """Make a report with nothing in it but what is given."""
    made: dict[str, Any] = {
        "version": VERSION,
        "seconds": 7263.4,
        "summary": "No request has come through the proxy.",
        "totals": {
            "clients": 0,
            "leaking": 0,
            "requests": 0,
            "client_connections": 0,
            "upstream_opened": 0,
            "upstream_reused": 0,
            "tunnels": 0,
            "estimated_connections_saved": 0,
            "estimated_handshake_seconds_saved": 0.0,
        },
        "clients": [],
        "origins": [],
        "tunnels": [],
    }
    return Report(**(made | values))  # type: ignore[typeddict-item] # likewise


def sample() -> Report:
    """Make a report with something in every part of it."""
    return report(
        summary=(
            "5 clients made 2,310 requests and 320 tunnels over 1,897 connections;"
            " reuse-proxy opened 341 to 3 origins, which saved an estimated 1,593"
            " connections and 41.6 s of handshakes. 3 clients leak, Go-http-client at 10.0.0.7 worst."
        ),
        totals={
            "clients": 5,
            "leaking": 3,
            "requests": 2310,
            "client_connections": 1897,
            "upstream_opened": 341,
            "upstream_reused": 2283,
            "tunnels": 320,
            "estimated_connections_saved": 1593,
            "estimated_handshake_seconds_saved": 41.62,
        },
        clients=_clients(),
        origins=[
            origin(
                "https://api.example.com:443",
                requests=0,
                opened=320,
                reused=0,
                tunnels=320,
                estimated_connections_saved=0,
            ),
            origin("http://prices.internal:8080"),
            origin(
                "http://files.internal",
                requests=470,
                opened=15,
                reused=449,
                estimated_connections_saved=3,
            ),
        ],
        tunnels=[
            {
                "origin": "api.example.com:443",
                "tunnels": 320,
                "short": 311,
                "origination": "--originate-tls api.example.com",
                "interception": "--intercept api.example.com",
            }
        ],
    )


def _clients() -> list[ClientEntry]:
    return [
        client(
            "Go-http-client at 10.0.0.7",
            "abandons_body",
            evidence=(
                "120 of 450 responses were not read to the end: it left 115 while they"
                " were arriving and it closed 5 unread."
            ),
            fix=UNREAD_FIX,
            requests=450,
            connections=130,
            requests_per_connection=3.46,
        ),
        client(
            "billing-cron",
            "connection_per_request",
            evidence="1600 requests came over 1600 connections: 1600 carried one request each.",
            fix=PER_REQUEST_FIX,
            processes=[
                {"pid": 4711, "command": "python3 billing/cron.py --tenant north"},
                {"pid": 4712, "command": "python3 billing/cron.py --tenant south"},
            ],
            requests=1600,
            connections=1600,
            requests_per_connection=1.0,
        ),
        client(
            "curl at 127.0.0.1",
            "unpoolable_tunnels",
            evidence=(
                "320 tunnels were opened for https://, each with a connection to its"
                " origin; 311 ended within 5 seconds."
            ),
            requests=0,
            connections=160,
            requests_per_connection=None,
            tunnels=320,
            short_tunnels=311,
        ),
        client("web"),
        client(
            "node at 10.0.0.9",
            "too_little_data",
            evidence="10 requests so far; it is judged from 20 on.",
            requests=10,
            connections=2,
            requests_per_connection=5.0,
        ),
    ]
