"""The admin listener: what it serves and to whom."""

import asyncio
import json

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families

from tests.support.client import request_bytes
from tests.support.machine import own_address
from tests.support.scrape import admin_get, admin_json

PATHS = ["/", "/metrics", "/healthz", "/readyz", "/api/v1/pools", "/api/v1/settings"]
OPENMETRICS = "Accept: application/openmetrics-text; version=1.0.0"


def content_type(response):
    """The media type without its parameters."""
    return response.value("Content-Type").partition(";")[0]


@pytest.mark.parametrize("path", PATHS)
async def test_every_endpoint_answers(proxy, path):
    """With 200, a type and no permission for other sites."""
    response = await admin_get(proxy.admin_address, path)

    assert response.status == 200
    assert response.body
    assert response.value("Content-Type")
    assert not response.values("Access-Control-Allow-Origin")


@pytest.mark.parametrize("path", PATHS)
async def test_head_answers_without_a_body(proxy, path):
    """A monitor may ask with HEAD."""
    response = await admin_get(proxy.admin_address, path, method="HEAD")

    assert response.status == 200
    assert response.body == b""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/api/v1/", 404),
        ("GET", "//metrics", 404),
        *(("POST", path, 405) for path in PATHS),
        ("DELETE", "/api/v1/pools", 405),
        ("OPTIONS", "/metrics", 405),
    ],
)
async def test_what_is_not_there_is_a_short_plain_answer(proxy, method, path, status):
    """No page of the framework, and nothing changes by reading."""
    response = await admin_get(proxy.admin_address, path, method=method)

    assert response.status == status
    assert content_type(response) == "text/plain"
    assert len(response.body) < 50
    assert b"<" not in response.body


@pytest.mark.parametrize(
    ("host", "fields", "status"),
    [
        ("localhost:4129", (), 200),
        ("127.0.0.1:4129", (), 200),
        ("[::1]:4129", (), 200),
        ("[::1]", (), 200),
        ("127.0.0.1", ("Sec-Fetch-Site: none",), 200),
        ("127.0.0.1", ("Sec-Fetch-Site: same-origin",), 200),
        ("127.0.0.1", ("Sec-Fetch-Site: cross-site",), 403),
        ("127.0.0.1", ("Sec-Fetch-Site: same-site",), 403),
        ("127.0.0.1", ("Origin: http://attacker.example",), 403),
        ("127.0.0.1", ("Origin: null",), 403),
        ("attacker.example", (), 403),
        ("attacker.example:4129", (), 403),
        ("localhost.attacker.example:4129", (), 403),
        ("127.0.0.1.attacker.example", (), 403),
        ("169.254.169.254", (), 403),
        ("", (), 403),
    ],
)
@pytest.mark.parametrize("path", ["/metrics", "/api/v1/settings", "/healthz"])
async def test_s5_a_browsers_foreign_page_reads_nothing(
    proxy, host, fields, status, path
):
    """Neither by a rebound name nor by a request across sites."""
    response = await admin_get(proxy.admin_address, path, *fields, host=host)

    assert response.status == status
    assert len(response.values("Access-Control-Allow-Origin")) == 0


async def test_others_read_only_where_they_are_allowed(make_proxy):
    """This machine under an address that is not loopback: first a stranger."""
    host = own_address()
    closed = await make_proxy(admin=f"{host}:0", allow_admin="198.51.100.0/24")
    opened = await make_proxy(admin=f"{host}:0", allow_admin=f"{host}/32")

    refused = await admin_get(closed.admin_address, "/metrics", host=host)
    served = await admin_get(opened.admin_address, "/metrics", host="prometheus.test")

    assert refused.status == 403
    assert b"allow_admin" in refused.body
    assert served.status == 200


async def test_metrics_are_openmetrics_for_who_accepts_it(proxy):
    """The type names the format, and the body ends as it must."""
    response = await admin_get(proxy.admin_address, "/metrics", OPENMETRICS)

    assert content_type(response) == "application/openmetrics-text"
    assert response.body.endswith(b"# EOF\n")


async def test_metrics_are_prometheus_text_otherwise(proxy):
    """For curl, which accepts anything."""
    response = await admin_get(proxy.admin_address, "/metrics", "Accept: */*")

    assert content_type(response) == "text/plain"
    assert b"# EOF" not in response.body


@pytest.mark.parametrize("accept", ["Accept: */*", OPENMETRICS])
async def test_metrics_parse_in_both_formats(proxy, origin, client, accept):
    """By the parsers of the Prometheus project, with samples of every kind."""
    for path in ("", "bytes/1"):
        await client.get(f"{origin.url}/{path}")
    parse = (
        parse_openmetrics if accept == OPENMETRICS else text_string_to_metric_families
    )

    response = await admin_get(proxy.admin_address, "/metrics", accept)

    families = list(parse(response.body.decode()))
    names = [family.name for family in families]
    assert len(families) > 20
    assert len(set(names)) == len(names)
    assert all(name.startswith("reuse_proxy_") for name in names)
    assert all(family.documentation for family in families)
    assert {family.type for family in families} == {"counter", "gauge", "histogram"}


async def test_pools_show_connections_as_they_are(proxy, origin, make_client):
    """One is active, one idle; both ends are named."""
    busy, other = await make_client(proxy), await make_client(proxy)
    await busy.send(request_bytes(f"{origin.url}/hold"))
    await busy.reader.readuntil(b"\r\n\r\nab")
    for _ in range(3):
        await other.get(f"{origin.url}/")

    view = await admin_json(proxy.admin_address, "/api/v1/pools")

    (shown,) = view["origins"]
    assert (view["sockets"], shown["origin"]) == (2, origin.url)
    connections = {item["state"]: item for item in shown["connections"]}
    assert {state: item["requests"] for state, item in connections.items()} == {
        "active": 1,
        "idle": 3,
    }
    local = {item["local"] for item in connections.values()}
    peers = [
        connection.writer.get_extra_info("peername")
        for connection in origin.connections
    ]
    assert local == {f"{host}:{port}" for host, port in peers}
    assert all(
        item["remote"] == f"127.0.0.1:{origin.port}" for item in connections.values()
    )
    origin.release.set()


async def test_pools_show_who_waits(make_proxy, origin, make_client):
    """One is served, two wait."""
    proxy = await make_proxy(max_per_origin=1)
    for _ in range(3):
        client = await make_client(proxy)
        await client.send(request_bytes(f"{origin.url}/wait"))
    (pool,) = proxy.session.pool.origins.values()
    await origin.until(lambda: len(origin.requests) == 1 and len(pool.waiters) == 2)

    view = await admin_json(proxy.admin_address, "/api/v1/pools")

    assert view["origins"][0]["waiting"] == 2
    assert view["origins"][0]["max_per_origin"] == 1
    origin.release.set()


async def test_settings_tell_value_and_source(make_proxy):
    """A flag, and a default."""
    proxy = await make_proxy(idle_timeout="7s")

    view = await admin_json(proxy.admin_address, "/api/v1/settings")

    assert view["idle_timeout"]["value"] == "7 s"
    assert view["idle_timeout"]["source"] != view["drain_timeout"]["source"]
    assert view["drain_timeout"] == {"value": "2 s", "source": "default"}
    json.dumps(view)


async def test_ready_says_no_while_stopping_and_health_still_yes(proxy, origin, client):
    """A load balancer is told to send no more; the process is not dead."""
    await client.send(request_bytes(f"{origin.url}/wait"))
    await origin.until(lambda: len(origin.requests) == 1)
    before = await admin_get(proxy.admin_address, "/readyz")
    proxy.server.start_draining()

    statuses = [
        (await admin_get(proxy.admin_address, path)).status
        for path in ("/readyz", "/healthz", "/metrics")
    ]

    assert before.status == 200
    assert statuses == [503, 200, 200]
    origin.release.set()
    assert (await client.response()).body == b"done"


async def test_what_is_no_http_gets_a_short_400_and_no_traceback(proxy, caplog):
    """The admin listener is poked at as well."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", proxy.admin_address.port
    )
    writer.write(b"NOT HTTP AT ALL\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert b" 400 " in answer.split(b"\r\n")[0]
    assert b"Traceback" not in answer
    assert "Traceback" not in caplog.text


async def test_errors_of_our_own_do_not_flood_the_log(proxy, monkeypatch, caplog):
    """Each is a 500 to whoever asks; the log has one of them a second."""
    monkeypatch.setattr(proxy.session.stats, "misses", None)
    statuses = [
        (await admin_get(proxy.admin_address, "/metrics")).status for _ in range(20)
    ]

    assert statuses == [500] * 20
    assert "Traceback" in caplog.text
    assert 1 <= len(caplog.records) <= 5
