"""Requirements S9 to S13: where requests may go.

The CONNECT part of S13 waits for tunnels, S14 for a reload of settings.
"""

import contextlib
import socket

import pytest

from reuse_proxy.config.loading import load
from reuse_proxy.service import Service
from tests.support.client import Client


@pytest.fixture
async def resolving_proxy():
    """Start proxies that resolve names as the operating system does."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(**settings):
            values = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", **settings}
            return await stack.enter_async_context(Service(load(values, {}, None)))

        yield make


def prohibited(response):
    """Whether a response says that the address is denied."""
    return response.status == 403 and "destination_ip_prohibited" in response.value(
        "Proxy-Status"
    )


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.0.1",
        "100.100.100.200",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
    ],
)
async def test_s9_metadata_services_are_denied_by_default(client, host):
    """As literals, and in every IPv6 form that embeds them."""
    response = await client.get(f"http://{host}/latest/meta-data/")

    assert prohibited(response)
    assert b"deny_destinations" in response.body


async def test_s9_a_metadata_name_is_denied_by_its_address(names, client):
    """What the name resolves to counts."""
    names.table["metadata.google.internal"] = ["169.254.169.254"]

    response = await client.get("http://metadata.google.internal/computeMetadata/v1/")

    assert prohibited(response)
    assert names.lookups == ["metadata.google.internal"]


async def test_s9_denied_requests_are_counted_by_rule(proxy, client):
    """Every one of them, not only the first."""
    for _ in range(3):
        await client.get("http://169.254.169.254/")

    assert proxy.session.stats.denied == {"deny_destinations": 3}


async def test_s10_a_name_that_changes_to_a_denied_address_is_denied(
    make_proxy, make_origin, names, make_client
):
    """The look-up that leads to a dial is the one that is judged."""
    proxy = await make_proxy(dns_ttl=0)
    origin = await make_origin(name="rebind.example")
    names.table["rebind.example"] = ["127.0.0.1"]
    client = await make_client(proxy)
    first = await client.get(f"{origin.url}/")
    origin.connections[0].writer.close()
    names.table["rebind.example"] = ["169.254.169.254"]
    await origin.until(lambda: not proxy.session.connections())

    second = await client.get(f"{origin.url}/")

    assert first.body == b"hello"
    assert prohibited(second)


async def test_s10_one_lookup_serves_both_check_and_connect(
    proxy, make_origin, names, client
):
    """So there is no second answer that could be another."""
    origin = await make_origin(name="once.test")

    response = await client.get(f"{origin.url}/")

    assert response.status == 200
    assert names.lookups == ["once.test"]


async def test_s10_of_several_addresses_only_allowed_ones_are_dialled(
    proxy, make_origin, names, client
):
    """A name with a denied address first is served by its other one."""
    origin = await make_origin(name="mixed.test")
    names.table["mixed.test"] = ["169.254.169.254", "127.0.0.1"]

    response = await client.get(f"{origin.url}/")

    assert response.body == b"hello"
    assert proxy.session.connections()[0].address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.0.1",
        "0.0.0.0",  # noqa: S104 - nothing is bound
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "169.254.0.1",
        "198.18.0.1",
        "240.0.0.1",
        "[::1]",
        "[::]",
        "[fc00::1]",
        "[fd12::1]",
        "[fe80::1]",
        "[ff02::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::10.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[2001:0:102:304::f5ff:fffe]",
        "inside.test",
    ],
)
async def test_s11_deny_private_covers_every_internal_network(
    make_proxy, make_client, names, host
):
    """Also where an IPv6 address embeds the internal one, or a name leads there."""
    names.table["inside.test"] = ["10.1.2.3"]
    client = await make_client(await make_proxy(deny_private="true"))

    response = await client.get(f"http://{host}:8080/")

    assert prohibited(response)


async def test_s11_loopback_is_reachable_unless_private_is_denied(
    proxy, make_origin, client
):
    """What a local proxy is for."""
    origin = await make_origin(name="127.0.0.1")

    response = await client.get(f"{origin.url}/")

    assert response.body == b"hello"


@pytest.mark.parametrize(
    ("host", "settings"),
    [
        *((host, {}) for host in ("0xa9fea9fe", "2852039166", "169.254.43518")),
        ("0251.0376.0251.0376", {}),
        *(
            (host, {"deny_private": "true"})
            for host in ("0x7f.1", "0177.0.0.1", "127.1", "2130706433", "localhost.")
        ),
        ("[::ffff:7f00:1]", {"deny_private": "true"}),
    ],
)
async def test_s12_an_odd_spelling_is_judged_as_the_address_it_means(
    resolving_proxy, host, settings
):
    """The operating system's resolver reads them all."""
    proxy = await resolving_proxy(**settings)

    async with Client(proxy.listening[0]) as client:
        response = await client.get(f"http://{host}:8080/")

    assert prohibited(response)


@pytest.mark.parametrize(
    "host",
    ["①②⑦.0.0.1", "%31%32%37.0.0.1", "[fe80::1%25lo]", "[fe80::1%lo]", "127.0.0.1%00"],
)
async def test_s12_what_is_no_host_is_refused(make_client, proxy, names, host):
    """No name is looked up for it."""
    client = await make_client(proxy)
    target = f"http://{host}/".encode()
    await client.send(b"GET %b HTTP/1.1\r\nHost: a.test\r\n\r\n" % target)

    response = await client.response()

    assert response.status == 400
    assert names.lookups == []


@pytest.mark.parametrize("port", [22, 25, 6379])
async def test_s13_ports_of_other_protocols_are_denied(client, port):
    """An HTTP request is not to be sent to a mail server or a database."""
    response = await client.get(f"http://127.0.0.1:{port}/")

    assert response.status == 403
    assert b"deny_ports" in response.body


async def test_s13_the_list_of_ports_is_a_setting(make_proxy, make_client, origin):
    """A port that is put on it is denied, and nothing connects."""
    client = await make_client(await make_proxy(deny_ports=origin.port))

    response = await client.get(f"{origin.url}/")

    assert response.status == 403
    assert origin.accepted == 0


async def test_nothing_listens_there(client):
    """The error names what happened."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        response = await client.get(f"http://127.0.0.1:{unused.getsockname()[1]}/")

    assert response.status == 502
    assert "connection_refused" in response.value("Proxy-Status")
