"""What a field is to a proxy, by its name."""

import pytest

from reuse_proxy.http import kinds
from reuse_proxy.http.kinds import Kind, kind_of, learn_kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (b"X-Anything", Kind.PASS),
        (b"Cookie", Kind.PASS),
        (b"", Kind.PASS),
        (b"Connection", Kind.CONNECTION),
        (b"CONNECTION", Kind.CONNECTION),
        (b"Proxy-Authorization", Kind.CALLER),
        (b"Proxy-Authenticate", Kind.PROXY_CHALLENGE),
        (b"Proxy-Authentication-Info", Kind.DROP),
        (b"TE", Kind.DROP),
        (b"Upgrade", Kind.UPGRADE),
        (b"Authorization", Kind.CREDENTIALS),
        (b"WWW-Authenticate", Kind.CHALLENGE),
    ],
)
def test_a_name_has_a_kind_in_any_spelling(name, kind):
    """Nothing but the listed ones is touched."""
    assert learn_kind(name) == kind


def test_a_spelling_is_remembered():
    """So that it is lower-cased once."""
    learn_kind(b"hOsT")

    assert kind_of[b"hOsT"] == Kind.HOST


def test_what_is_remembered_is_bounded():
    """A client that makes names up fills no memory."""
    for number in range(3 * kinds._MAX_SPELLINGS):
        learn_kind(b"X-%d" % number)

    assert len(kind_of) <= kinds._MAX_SPELLINGS
    assert learn_kind(b"hOsT") == Kind.HOST
