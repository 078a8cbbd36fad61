"""What a report says: its words agree with those of the ledger."""

import json
from typing import get_type_hints

from reuse_proxy.ledger.verdict import Verdict
from reuse_proxy.report.document import LEAKS, VERDICTS, ClientEntry, Report
from tests.support.reports import sample


def test_the_verdicts_are_the_ledgers_in_its_order():
    """A report sorts by them, and every reader knows them."""
    assert tuple(Verdict) == VERDICTS
    assert tuple(verdict for verdict in Verdict if verdict.is_leak) == LEAKS


def test_a_report_is_plain_json():
    """What is served and read again is the same."""
    assert json.loads(json.dumps(sample())) == sample()


def test_what_is_estimated_says_so_by_its_name():
    """Nothing else that is saved is told."""
    names = [*get_type_hints(ClientEntry), *get_type_hints(Report)]

    assert [n for n in names if "saved" in n and not n.startswith("estimated_")] == []
