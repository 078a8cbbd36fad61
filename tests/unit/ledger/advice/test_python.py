"""Advice for Python's libraries."""

import ast
import dataclasses

import pytest

from reuse_proxy.ledger.advice.guide import Advice
from reuse_proxy.ledger.advice.python import AIOHTTP, HTTPX, REQUESTS

GUIDES = [REQUESTS, HTTPX, AIOHTTP]


@pytest.mark.parametrize("guide", GUIDES)
def test_the_code_compiles(guide):
    """Every snippet stands alone."""
    for field in dataclasses.fields(guide):
        advice = getattr(guide, field.name)
        if isinstance(advice, Advice):
            assert ast.parse("\n".join(advice.code)).body


def test_each_library_is_told_to_share_its_client():
    """By the name that it has there."""
    for guide, client in (
        (REQUESTS, "requests.Session"),
        (HTTPX, "httpx.Client"),
        (AIOHTTP, "ClientSession"),
    ):
        for advice in (guide.connection_per_request, guide.unpoolable_tunnels):
            assert client in advice.steps[0]
            assert client in "".join(advice.code)


def test_a_with_statement_is_not_said_to_keep_the_connection():
    """Requests closes it if anything is unread."""
    assert "it closes the connection" in " ".join(REQUESTS.abandons_body.steps)
    assert "stream=True" in REQUESTS.abandons_body.summary


def test_requests_has_a_variable_of_its_own_for_authorities():
    """The others read OpenSSL's."""
    assert REQUESTS.trust == "REQUESTS_CA_BUNDLE"
    assert HTTPX.trust == AIOHTTP.trust == "SSL_CERT_FILE"
