"""Tunnels go where plain requests may go: rows S3, S9, S11 and S13."""

import pytest

from tests.support.machine import free_ports, own_address
from tests.support.tunnels import echo, opened, refused

PROHIBITED = "destination_ip_prohibited"
# Every way in which our own listeners are at an address.
ALIASES = (
    "127.0.0.1",
    "127.0.0.2",
    "127.1",
    "localhost",
    "localhost.",
    "0.0.0.0",  # noqa: S104 - nothing is bound
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "anything.test",
)


@pytest.mark.parametrize("listener", ["proxy", "admin"])
@pytest.mark.parametrize("host", ALIASES)
async def test_s3_own_listeners_cannot_be_reached_through_a_tunnel(
    make_proxy, make_client, names, host, listener
):
    """Whatever the spelling, though their ports are listed."""
    names.table["127.1"] = ["127.0.0.1"]
    port = free_ports(1)[0]
    at = {"proxy": "listen", "admin": "admin"}[listener]
    proxy = await make_proxy(**{at: f"127.0.0.1:{port}"}, connect_ports=port)
    client = await make_client(proxy)

    await refused(client, f"{host}:{port}", 403, "proxy_loop_detected")

    assert proxy.session.stats.denied == {"self": 1}


async def test_s3_own_interface_addresses_are_own_listeners_too(
    make_proxy, make_client
):
    """A port of ours on any address that this machine can bind."""
    port = free_ports(1)[0]
    proxy = await make_proxy(listen=f"127.0.0.1:{port}", connect_ports=port)
    client = await make_client(proxy)

    await refused(client, f"{own_address()}:{port}", 403, "proxy_loop_detected")


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "100.100.100.200",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "metadata.google.internal",
    ],
)
async def test_s9_metadata_services_are_denied_by_default(client, names, host):
    """As literals, and as what a name resolves to."""
    names.table["metadata.google.internal"] = ["169.254.169.254"]

    response = await refused(client, f"{host}:443", 403, PROHIBITED)

    assert b"deny_destinations" in response.body


async def test_s9_of_several_addresses_only_allowed_ones_are_dialled(
    tunnelling, make_client, make_origin, names
):
    """A name with a denied address first leads to its other one."""
    origin = await make_origin(echo, name="mixed.test")
    names.table["mixed.test"] = ["169.254.169.254", "127.0.0.1"]
    proxy = await tunnelling(origin)

    await opened(make_client, proxy, origin)

    assert proxy.session.connections()[0].address[0] == "127.0.0.1"


@pytest.mark.parametrize("host", ["10.0.0.1", "127.0.0.1", "[::1]", "inside.test"])
async def test_s11_deny_private_covers_tunnels(make_proxy, make_client, names, host):
    """Addresses and names alike."""
    names.table["inside.test"] = ["10.1.2.3"]
    client = await make_client(await make_proxy(deny_private="true"))

    response = await refused(client, f"{host}:443", 403, PROHIBITED)

    assert b"deny_private" in response.body


@pytest.mark.parametrize("port", [22, 25, 6379])
async def test_s13_a_denied_port_is_denied_even_if_it_is_listed(
    make_proxy, make_client, port
):
    """deny_ports counts for every request."""
    client = await make_client(await make_proxy(connect_ports=port))

    response = await refused(client, f"127.0.0.1:{port}", 403)

    assert b"deny_ports" in response.body
