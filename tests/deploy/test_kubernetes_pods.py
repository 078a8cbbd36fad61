"""The containers of deploy/kubernetes, run as they are described, in a pod's network.

Command, variables, files, addresses and privileges are the manifest's; the image is
this tree, and the kubelet is played by requests from the node's address.
"""

import asyncio
import re

import pytest

from tests.support.manifests import (
    FOLDER,
    NODE_ADDRESS,
    Container,
    containers,
    proxy_of,
)
from tests.support.podnet import ORIGIN, OTHER_POD, STRANGER, PodNetwork

FILES = ["sidecar.yaml", "daemonset.yaml"]
PROBES = ["startupProbe", "readinessProbe", "livenessProbe"]


@pytest.fixture
async def network(tmp_path):
    """A node with a pod."""
    async with PodNetwork(tmp_path) as network:
        yield network


@pytest.fixture
async def start(network):
    """Start the proxy of a file and wait until it listens."""

    async def started(file, **variables):
        proxy = proxy_of(file)
        running = await network.start(proxy, **variables)
        await running.until("listening on")
        return proxy, running

    return started


def probes_of(container: Container) -> list[str]:
    """Name the probes that a container has."""
    return [name for name in PROBES if name in container.spec]


@pytest.mark.parametrize("file", FILES)
async def test_every_probe_succeeds_once_the_proxy_listens(network, start, file):
    """As the kubelet asks: in the container, or from the node's address."""
    proxy, _ = await start(file)

    succeeded = {name: await network.probe(proxy, name) for name in probes_of(proxy)}

    assert succeeded == dict.fromkeys(succeeded, True)
    assert {"startupProbe", "livenessProbe"} <= set(succeeded)


@pytest.mark.parametrize("file", FILES)
async def test_no_probe_succeeds_before(network, file):
    """Where nothing runs, nothing is said to be well."""
    proxy = proxy_of(file)

    for name in probes_of(proxy):
        assert not await network.probe(proxy, name)


async def test_the_node_has_to_be_let_in_for_its_probes(network, start):
    """Without its address in `allow_admin`, they would fail: it is there for a reason."""
    proxy, _ = await start("daemonset.yaml", REUSE_PROXY_ALLOW_ADMIN="10.244.0.0/16")

    assert not await network.probe(proxy, "readinessProbe")
    assert (await network.get(4129, "/healthz", source=NODE_ADDRESS)).status == 403


@pytest.mark.parametrize("file", FILES)
async def test_prometheus_reads_the_metrics_and_a_stranger_does_not(
    network, start, file
):
    """By the address of a pod, and by one from outside."""
    proxy, _ = await start(file)
    port = proxy.ports()["proxy-admin"]

    prometheus = await network.get(port, "/metrics", source=OTHER_POD)
    stranger = await network.get(port, "/metrics", source=STRANGER)

    assert "reuse_proxy_upstream_connections" in prometheus.body
    assert stranger.status == 403


async def test_a_pod_of_the_node_is_served_and_a_stranger_is_not(network, start):
    """Both reach the port: the list tells them apart."""
    proxy, _ = await start("daemonset.yaml")
    await network.origin()
    port, url = proxy.ports()["proxy"], f"http://{ORIGIN}/"

    pod = await network.get(port, url, source=OTHER_POD)
    stranger = await network.get(port, url, source=STRANGER)

    assert (pod.status, pod.body.strip()) == (200, "ok")
    assert stranger.status == 403
    assert "allow_clients" in stranger.body


@pytest.mark.parametrize("inside", ["10.96.0.1", "10.244.1.5:4129", "127.0.0.1:4129"])
async def test_the_shared_proxy_takes_nobody_inside(network, start, inside):
    """Not to services, not to pods, not to its own admin listener."""
    proxy, _ = await start("daemonset.yaml")

    url = f"http://{inside}/"
    answer = await network.get(proxy.ports()["proxy"], url, source=OTHER_POD)

    assert answer.status == 403
    assert "destination_ip_prohibited" in answer.head


async def test_a_sidecar_cannot_be_used_from_outside_its_pod(network, start):
    """It listens on the pod's loopback."""
    await start("sidecar.yaml")

    assert (await network.get(4128, "/", source=OTHER_POD)).status == 0


async def test_the_app_goes_through_its_sidecar_on_one_connection(network, start):
    """Its loop of curl, a process for each request, with the variables that it has."""
    await start("sidecar.yaml")
    origin = await network.origin()
    [app] = [c for c in containers("sidecar.yaml") if not c.is_proxy]

    running = await network.start(app, URL=f"http://{ORIGIN}/", EVERY="0.01")
    answers = [await running.until(" by ") for _ in range(5)]
    requests = [await origin.until(" on ") for _ in range(5)]
    running.ask_to_stop()

    assert answers == ["200 by 127.0.0.1\n"] * 5
    assert requests == ["GET / HTTP/1.1 on 1\n"] * 5
    assert await running.exit_code(10) == 0


async def test_what_the_readme_runs_in_the_sidecar_reports(network, start):
    """The words behind `kubectl exec`, in the container."""
    proxy, _ = await start("sidecar.yaml")
    text = (FOLDER / "README.md").read_text("utf-8")
    [command] = re.findall(
        r"^kubectl exec .* -c reuse-proxy -- ([^#]+)", text, re.MULTILINE
    )

    code, output = await network.execute(proxy, *command.split())

    assert (code, output.splitlines()[0]) == (
        0,
        "No request has come through the proxy.",
    )


async def test_a_request_outlives_the_call_to_stop_within_the_grace_period(
    network, start
):
    """Not ready at once, alive until the end, and over before the kubelet kills."""
    proxy, running = await start("daemonset.yaml")
    origin = await network.origin()
    port, url = proxy.ports()["proxy"], f"http://{ORIGIN}/hold"

    async with asyncio.TaskGroup() as group:
        held = group.create_task(network.get(port, url, source=OTHER_POD))
        await origin.until("/hold")
        running.ask_to_stop()
        stopping = await running.until("stopping")
        ready = await network.probe(proxy, "readinessProbe")
        alive = await network.probe(proxy, "livenessProbe")
        origin.say()

    assert (ready, alive) == (False, True)
    assert held.result().status == 200
    assert await running.exit_code(10) == 0
    assert re.search(r"within 25 s", stopping)
