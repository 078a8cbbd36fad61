"""What stands in the head of every answer of our own."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from reuse_proxy.downstream import reply
from reuse_proxy.downstream.reply import http_date


@pytest.mark.parametrize("ago", [0, 1, 60, 3600, 86400])
def test_the_date_is_made_anew_once_its_second_is_over(monkeypatch, ago):
    """Also a minute or a day later, when the clock shows the same second."""
    then = datetime.now(UTC) - timedelta(seconds=ago)
    monkeypatch.setattr(reply, "_date", (b"", 0))
    with monkeypatch.context() as earlier:
        earlier.setattr(reply, "datetime", Clock(then))
        assert parsedate_to_datetime(http_date().decode()) == then.replace(
            microsecond=0
        )

    now = parsedate_to_datetime(http_date().decode())

    assert abs(now - datetime.now(UTC)) < timedelta(seconds=2)


class Clock:
    """A clock that stands still."""

    def __init__(self, at):
        self._at = at

    def now(self, _):
        """Return the time that it was set to."""
        return self._at
