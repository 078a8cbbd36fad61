"""What the command is told: proxies, authorities, and nothing else."""

from pathlib import Path

import pytest

from reuse_proxy.child.environment import (
    CA_VARIABLES,
    child_environment,
    other_proxies,
)

PROXY = "http://127.0.0.1:4711"


@pytest.mark.parametrize(
    "name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WSS_PROXY"]
)
def test_the_proxy_is_named_in_both_spellings(name):
    """Some programs read only the one, some only the other."""
    environment = child_environment({name: "http://corp:3128"}, proxy=PROXY)

    assert environment[name] == PROXY
    assert environment[name.lower()] == PROXY


def test_what_is_not_about_proxies_stays():
    """NO_PROXY too: its user knows why; the caller's environment is not changed."""
    mine = {"PATH": "/bin", "NO_PROXY": "a.test", "no_proxy": "b.test"}

    environment = child_environment(mine, proxy=PROXY)

    assert environment.items() >= mine.items()
    assert mine == {"PATH": "/bin", "NO_PROXY": "a.test", "no_proxy": "b.test"}


def test_node_is_told_to_look():
    """It reads the variables only then."""
    assert child_environment({}, proxy=PROXY)["NODE_USE_ENV_PROXY"] == "1"


def test_no_authority_is_named_without_a_bundle():
    """The command then trusts whom it always does."""
    environment = child_environment({"SSL_CERT_FILE": "/mine"}, proxy=PROXY)

    assert environment["SSL_CERT_FILE"] == "/mine"
    assert environment.keys() & set(CA_VARIABLES) == {"SSL_CERT_FILE"}


def test_a_bundle_is_named_to_every_runtime():
    """Each has a variable of its own."""
    environment = child_environment(
        {"SSL_CERT_FILE": "/mine"}, proxy=PROXY, bundle=Path("/folder/b.pem")
    )

    assert {environment[name] for name in CA_VARIABLES} == {"/folder/b.pem"}


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"HTTP_PROXY": "http://corp:3128"}, "HTTP_PROXY=http://corp:3128 is"),
        ({"https_proxy": "http://u:p@corp"}, "https_proxy=http://...@corp is"),
        ({"http_proxy": "u:p@corp:3128"}, "http_proxy=...@corp:3128 is"),
        ({"ALL_PROXY": "http://[x"}, "ALL_PROXY=... is"),
        ({"HTTP_PROXY": "a", "HTTPS_PROXY": "b"}, "HTTP_PROXY=a is"),
    ],
)
def test_a_proxy_that_is_passed_by_is_told_once(environ, told):
    """By its name, without a password."""
    sentences = list(other_proxies(environ))

    assert [sentence[: len(told)] for sentence in sentences] == [told]


@pytest.mark.parametrize("environ", [{}, {"HTTP_PROXY": ""}, {"NO_PROXY": "*"}])
def test_without_another_proxy_there_is_nothing_to_tell(environ):
    """An empty variable is none."""
    assert list(other_proxies(environ)) == []
