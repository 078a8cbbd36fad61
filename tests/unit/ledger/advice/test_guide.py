"""Guides: their shape follows the verdicts."""

import dataclasses

import pytest

from reuse_proxy.ledger.advice.guide import Advice, Guide
from reuse_proxy.ledger.fixes import GUIDES
from reuse_proxy.ledger.verdict import Verdict


def test_a_guide_has_advice_for_each_leak():
    """A new verdict needs a text from everybody."""
    fields = {field.name for field in dataclasses.fields(Guide)}

    leaks = {str(verdict) for verdict in Verdict if verdict.is_leak}
    assert leaks == fields - {"keep_alive", "trust"}


@pytest.mark.parametrize("guide", GUIDES.values(), ids=list(GUIDES))
def test_what_is_put_into_sentences_has_no_end_of_its_own(guide):
    """Summaries, and the two that are put into steps."""
    parts = [guide.keep_alive, guide.trust]
    for field in dataclasses.fields(guide):
        value = getattr(guide, field.name)
        if isinstance(value, Advice):
            parts.append(value.summary)

    assert len(parts) == 6
    assert [part for part in parts if part.endswith(".") or ";" in part] == []
