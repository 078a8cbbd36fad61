"""Advice for Python's standard library, urllib3, and programs that hide theirs."""

import ast
import dataclasses

import pytest

from reuse_proxy.ledger.advice.guide import Advice
from reuse_proxy.ledger.advice.python_others import PYTHON, URLLIB, URLLIB3


@pytest.mark.parametrize("guide", [PYTHON, URLLIB, URLLIB3])
def test_the_code_compiles(guide):
    """Every snippet stands alone; where none helps there is none."""
    for field in dataclasses.fields(guide):
        advice = getattr(guide, field.name)
        if isinstance(advice, Advice):
            ast.parse("\n".join(advice.code))


def test_urllib_is_to_be_replaced_since_it_cannot_keep_a_connection():
    """It sends Connection: close with every request."""
    advice = URLLIB.connection_per_request

    assert "Connection: close" in advice.summary
    assert "requests.Session" in advice.steps[0]
    assert "HTTPConnection" in "".join(advice.code)


def test_urllib3_is_drained_and_then_released():
    """In this order: a connection that is released unread is lost."""
    step = URLLIB3.abandons_body.steps[0]

    assert step.index("drain_conn()") < step.index("release_conn()")


def test_a_program_that_hides_its_library_is_told_of_all_pools():
    """Whichever of them it uses."""
    for client in ("requests.Session", "httpx.Client", "aiohttp.ClientSession"):
        assert client in PYTHON.connection_per_request.steps[0]
