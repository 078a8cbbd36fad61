"""The exception tree: status and Proxy-Status word live on the class."""

import asyncio

import pytest

from reuse_proxy import errors
from reuse_proxy.errors import (
    AccessDeniedError,
    ProxyError,
    RequestError,
    ReuseProxyError,
    SettingsError,
    UnavailableError,
    UpstreamClosedError,
    UpstreamConnectError,
    UpstreamProtocolError,
    UpstreamTimeoutError,
    status_of,
)

# The error types that RFC 9209 section 2.3 registers and we use as defaults.
TREE = {
    ProxyError: (500, "proxy_internal_error"),
    RequestError: (400, "http_request_error"),
    AccessDeniedError: (403, "http_request_denied"),
    UnavailableError: (503, "connection_limit_reached"),
    UpstreamConnectError: (502, "destination_unavailable"),
    UpstreamTimeoutError: (504, "connection_read_timeout"),
    UpstreamProtocolError: (502, "http_protocol_error"),
    UpstreamClosedError: (502, "connection_terminated"),
}


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_each_class_carries_its_status_and_error_type(kind):
    """Nobody has to know more than the class to answer."""
    error = kind("A sentence.")

    assert (error.status, error.error) == TREE[kind]
    assert error.sentence == str(error) == "A sentence."


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_an_instance_may_be_narrower_without_changing_its_class(kind):
    """A narrower status and type stay on the instance."""
    error = kind("A sentence.", status=418, error="teapot")

    assert (error.status, error.error) == (418, "teapot")
    assert (kind.status, kind.error) == TREE[kind]


def test_only_unavailable_asks_the_client_to_try_again():
    """Retry-After belongs to 503 alone."""
    asking = [kind for kind in TREE if kind("x").retry_after is not None]

    assert asking == [UnavailableError]


def test_there_is_one_root_and_every_class_is_in_the_drawn_tree():
    """The tree in the module's docstring names each class."""
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]

    assert errors.__doc__ is not None
    assert len(classes) == len(TREE) + 2
    for kind in classes:
        assert issubclass(kind, ReuseProxyError)
        assert kind.__name__ in errors.__doc__


def test_a_settings_error_is_no_answer_to_a_request():
    """It ends the process with 2 instead."""
    error = SettingsError("max_sockets = x")

    assert not isinstance(error, ProxyError)
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnavailableError("x"), 503),
        (RequestError("x", status=413), 413),
        (ConnectionResetError(), 499),
        (asyncio.CancelledError(), 499),
        (None, 499),
        (ValueError("a mistake of ours"), 500),
    ],
)
def test_a_request_without_an_origins_answer_has_a_status_too(error, status):
    """What the client was sent, or 499 where it had left."""
    assert status_of(error) == status
