"""Numbers in sentences."""

import pytest

from reuse_proxy.ledger.words import count


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1 request"), (0, "0 requests"), (2500, "2,500 requests")]
)
def test_numbers_come_with_their_noun(number, text):
    """One of them without an s."""
    assert count(number, "request") == text
