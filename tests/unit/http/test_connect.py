"""CONNECT from the side of who asks: its bytes, and the answer's head."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reuse_proxy.errors import UpstreamProtocolError
from reuse_proxy.http.connect import (
    OVERLAP,
    challenge_schemes,
    connect_head,
    end_of_head,
    read_answer,
)


def test_a_request_for_a_tunnel_names_its_place_twice():
    """RFC 9110 section 9.3.6: in the target and in Host; what else goes with it."""
    assert connect_head("a.test:443", b"", b"Via: 1.1 x\r\n") == (
        b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nVia: 1.1 x\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"HTTP/1.1 200 Fine\r\n\r\nrest", 21),
        (b"HTTP/1.1 200 Fine\n\nrest", 19),
        (b"HTTP/1.1 200 Fine\n\r\n", 20),
        (b"HTTP/1.1 200 Fine\r\n\r", -1),
        (b"HTTP/1.1 200 Fine\r\nA: b\r\n", -1),
        (b"", -1),
    ],
)
def test_a_head_ends_with_a_blank_line(data, end):
    """With or without carriage returns."""
    assert end_of_head(data) == end


@given(
    cuts=st.lists(st.integers(1, 25), max_size=10),
    blank=st.sampled_from(["\r\n", "\n"]),
)
@settings(database=None)
def test_the_end_is_found_wherever_it_is_cut(cuts, blank):
    """With the overlap of what came before, as it is read."""
    whole = f"HTTP/1.1 200 OK{blank}A: b{blank}{blank}".encode()
    taken = 0
    for cut in [*cuts, len(whole)]:
        piece = (whole + b"tunnel")[taken : taken + cut]
        before = whole[max(taken - OVERLAP, 0) : taken]
        end = end_of_head(before + piece)
        if end >= 0:
            assert taken + end - len(before) == len(whole)
            return
        taken += len(piece)


@pytest.mark.parametrize(
    ("head", "status", "schemes"),
    [
        (b"HTTP/1.1 200 Connection Established\r\n\r\n", 200, ()),
        (b"HTTP/1.0 200\r\n\r\n", 200, ()),
        (b"HTTP/1.1 503 \xff\r\n\r\n", 503, ()),
        (b"HTTP/1.1 200 a\nProxy-Agent: x\n\n", 200, ()),
        (b"HTTP/1.1 407 a\r\nPROXY-AUTHENTICATE: NTLM\r\n\r\n", 407, ("NTLM",)),
        (
            b"HTTP/1.1 407 a\r\nProxy-Authenticate: Negotiate\r\nA: Basic\r\n%b"
            % b"proxy-authenticate: Basic realm=x\r\n\r\n",
            407,
            ("Negotiate", "Basic"),
        ),
    ],
)
def test_an_answer_is_its_status_and_its_challenges(head, status, schemes):
    """Nothing else of it matters."""
    assert read_answer(head) == (status, schemes)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 2000\r\n\r\n",
        b"HTTP/1.1 999 a\r\n\r\n",
        b" HTTP/1.1 200 a\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"\r\n\r\n",
    ],
)
def test_what_is_no_status_line_is_an_error(head):
    """A parent that speaks something else."""
    with pytest.raises(UpstreamProtocolError):
        read_answer(head)


@pytest.mark.parametrize(
    ("challenges", "schemes"),
    [
        ([], ()),
        ([b"Basic"], ("Basic",)),
        ([b'Basic realm="a, b c", charset="UTF-8"'], ("Basic",)),
        ([b'Digest realm="a \\" , Basic", qop="auth", NTLM'], ("Digest", "NTLM")),
        ([b"Negotiate, NTLM", b"NTLM"], ("Negotiate", "NTLM")),
        ([b"Negotiate TlRMTVNTUA=="], ("Negotiate",)),
        ([b"", b" , ", b"\xff", b'"', b"a" * 33], ()),
        ([b",".join(b"s%d" % n for n in range(99))], tuple(f"s{n}" for n in range(8))),
    ],
)
def test_schemes_are_the_first_words_of_challenges(challenges, schemes):
    """RFC 9110 section 11.6.1: parameters and quoted strings are none; bounded."""
    assert challenge_schemes(challenges) == schemes
