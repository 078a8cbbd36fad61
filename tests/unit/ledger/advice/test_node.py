"""Advice for Node."""

import subprocess

import pytest

from reuse_proxy.ledger.advice.node import NODE
from tests.support.programs import need

ALL = [
    NODE.connection_per_request,
    NODE.abandons_body,
    NODE.never_reads,
    NODE.unpoolable_tunnels,
]


@pytest.mark.parametrize("advice", ALL)
def test_the_code_is_a_module_that_node_can_read(tmp_path, advice):
    """Await at the top included."""
    program = tmp_path / "snippet.mjs"
    program.write_text("\n".join(advice.code))

    done = subprocess.run(  # noqa: S603 - our own text
        [need("node"), "--check", str(program)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_an_agent_has_to_be_told_to_keep_alive():
    """Only the global one has been since Node 19."""
    assert "keepAlive: true" in " ".join(NODE.connection_per_request.steps)
    assert "since Node 19" in " ".join(NODE.connection_per_request.steps)
    assert "keepAlive: true" in NODE.keep_alive


def test_cancel_is_not_said_to_keep_the_connection():
    """Reading does."""
    steps = NODE.abandons_body.steps

    assert "arrayBuffer()" in steps[0]
    assert "cancel()" in steps[-1]
    assert "closes the connection" in steps[-1]


def test_a_tunnel_for_http_is_undone():
    """Older undici sends CONNECT for everything."""
    assert "proxyTunnel: false" in " ".join(NODE.unpoolable_tunnels.steps)
    assert "proxyTunnel: false" in "".join(NODE.unpoolable_tunnels.code)
