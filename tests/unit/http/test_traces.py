"""The trace id of a request, by the rules of W3C Trace Context."""

import pytest

from reuse_proxy.http.traces import trace_id_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "value",
    [
        f"00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-00",
        f" 00-{TRACE}-{SPAN}-ff ",
        f"01-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-comes-later",
    ],
)
@pytest.mark.parametrize("name", [b"traceparent", b"TraceParent"])
def test_a_valid_field_has_one(name, value):
    """Versions to come may go on behind what is known."""
    assert trace_id_of([(b"Host", b"a"), (name, value.encode())]) == TRACE


@pytest.mark.parametrize(
    "value",
    [
        "",
        TRACE,
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\xff",
    ],
)
def test_an_invalid_field_has_none(value):
    """Nothing is guessed: it would join what does not belong together."""
    assert trace_id_of([(b"traceparent", value.encode("latin-1"))]) is None


def test_two_fields_have_none():
    """Even if they are the same: whose trace this is cannot be told."""
    field = (b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())

    assert trace_id_of([field, field]) is None
    assert trace_id_of([]) is None
