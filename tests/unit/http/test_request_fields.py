"""Which fields pass a proxy: everything but this hop's, in order, as it came."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reuse_proxy.errors import RequestError
from reuse_proxy.http.framing import Framing
from reuse_proxy.http.request_fields import read_request_fields
from reuse_proxy.http.response_fields import read_response_fields

# RFC 9110 section 7.6.1 with what clients in the field send to proxies.
HOP_BY_HOP = (
    b"Connection",
    b"Proxy-Connection",
    b"Proxy-Authorization",
    b"Proxy-Authenticate",
    b"Proxy-Authentication-Info",
    b"Keep-Alive",
    b"TE",
    b"Trailer",
    b"Upgrade",
)
TOKEN = st.from_regex(rb"\A[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}\Z")
VALUE = st.binary(max_size=20).filter(lambda raw: not set(raw) & set(b"\r\n\0"))
# Fields whose value this module reads, so that random values may be errors.
READ = {
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"expect",
    b"via",
    b"max-forwards",
}


def request_fields(*raw: tuple[bytes, bytes], traced: bool = False):
    """Read a request's fields."""
    return read_request_fields(raw, traced=traced)


def any_case(name: bytes) -> st.SearchStrategy[bytes]:
    """Spell a field name in any case."""
    return st.sampled_from([name, name.lower(), name.upper()])


fields = st.lists(
    st.tuples(
        st.one_of(
            TOKEN.filter(lambda name: name.lower() not in READ),
            st.sampled_from(HOP_BY_HOP).flatmap(any_case),
        ),
        VALUE,
    ),
    max_size=12,
)


def survivors(raw):
    """Say independently which lines of a head pass a proxy."""
    named = {name.lower() for name in HOP_BY_HOP}
    for name, value in raw:
        if name.lower() == b"connection":
            named |= {option.strip().lower() for option in value.split(b",")}
    # Close and the like are no field names; the last are never hop by hop.
    named -= {b"close", b"http2-settings", b"content-length", b"transfer-encoding"}
    named -= {b"host"}
    return [
        b"%b: %b\r\n" % (name, value)
        for name, value in raw
        if name.lower() not in named
    ]


@settings(database=None, max_examples=300)
@given(raw=fields)
def test_no_hop_by_hop_request_field_survives_and_every_other_line_does(raw):
    """In order, with its spelling, its bytes and its duplicates."""
    assert request_fields(*raw).lines == survivors(raw)


@settings(database=None, max_examples=300)
@given(raw=fields)
def test_no_hop_by_hop_response_field_survives_and_every_other_line_does(raw):
    """The same rule in the other direction."""
    assert read_response_fields(raw).lines == survivors(raw)


@settings(database=None, max_examples=200)
@given(before=fields, after=fields)
def test_the_host_line_keeps_its_place_and_spelling(before, after):
    """Fields that go do not move it."""
    raw = [*before, (b"hOST", b"a.test"), *after]

    # Connection fields matter wherever they stand, and are not in the result.
    options = [(name, value) for name, value in after if name.lower() == b"connection"]
    read = request_fields(*raw)

    assert read.lines[: read.host_at] == survivors([*before, *options])
    assert read.lines == survivors([*before, *after])
    assert read.host_name == b"hOST"


def test_fields_named_by_connection_go_too():
    """Wherever the Connection field stands."""
    read = request_fields(
        (b"X-One", b"1"),
        (b"Connection", b"x-one, close"),
        (b"X-Two", b"2"),
        (b"connection", b"X-TWO"),
        (b"X-Three", b"3"),
    )

    assert read.lines == [b"X-Three: 3\r\n"]


@pytest.mark.parametrize("name", [b"Content-Length", b"Transfer-Encoding"])
def test_connection_cannot_remove_framing(name):
    """Else the body's bytes would be read as a request."""
    value = b"5" if name == b"Content-Length" else b"chunked"

    read = request_fields((name, value), (b"Connection", name))

    assert read.lines == [b"%b: %b\r\n" % (name, value)]
    assert read.framing(http10=False)[0] is not Framing.NONE


def test_every_length_and_coding_counts_for_framing():
    """Duplicates are seen, so that they can be refused."""
    read = request_fields((b"Content-Length", b"5"), (b"content-length", b"6"))

    with pytest.raises(RequestError):
        read.framing(http10=False)


def test_chunked_is_spelled_anew_for_the_origin():
    """What was understood is what is sent."""
    read = request_fields((b"Transfer-encoding", b"CHUNKED"))

    assert read.lines == [b"Transfer-encoding: chunked\r\n"]


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue"])
def test_the_expectation_is_taken_out_and_noted(value):
    """It is written anew where it is forwarded."""
    read = request_fields((b"Expect", value))

    assert read.expect_continue
    assert read.lines == []


@pytest.mark.parametrize("value", [b"200-ok", b"100-continue, x", b""])
def test_an_unknown_expectation_is_417(value):
    """RFC 9110 section 10.1.1."""
    with pytest.raises(RequestError) as caught:
        request_fields((b"Expect", value))

    assert caught.value.status == 417


@pytest.mark.parametrize("value", [b"a.test/x", b"a b", b"a:b", b"u@a"])
def test_a_malformed_host_is_refused(value):
    """RFC 9112 section 3.2 wants 400."""
    with pytest.raises(RequestError) as caught:
        request_fields((b"Host", value))

    assert caught.value.status == 400


def test_max_forwards_counts_down_for_traced_methods_alone():
    """RFC 9110 section 7.6.2."""
    traced = request_fields((b"Max-Forwards", b"2"), traced=True)
    other = request_fields((b"Max-Forwards", b"2"))

    assert (traced.max_forwards, traced.lines) == (2, [b"Max-Forwards: 1\r\n"])
    assert (other.max_forwards, other.lines) == (None, [b"Max-Forwards: 2\r\n"])


@pytest.mark.parametrize("value", [b"x", b"-1", b"", b"1 2", b"9999999999"])
def test_a_malformed_max_forwards_is_refused(value):
    """Only where it counts."""
    assert request_fields((b"Max-Forwards", value)).max_forwards is None
    with pytest.raises(RequestError):
        request_fields((b"Max-Forwards", value), traced=True)


def test_an_idempotency_key_is_noted_and_passed_on():
    """It makes a POST repeatable (design D6)."""
    read = request_fields((b"idempotency-key", b"k"))

    assert read.idempotency_key
    assert read.lines == [b"idempotency-key: k\r\n"]


def test_via_is_noted_and_passed_on_in_order():
    """A loop is found in it."""
    read = request_fields((b"Via", b"1.1 a"), (b"via", b"1.0 b"))

    assert read.via == [b"1.1 a", b"1.0 b"]
    assert read.lines == [b"Via: 1.1 a\r\n", b"via: 1.0 b\r\n"]
