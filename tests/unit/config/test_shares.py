"""Caps divided among workers: the sums hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_proxy.config.loading import load
from reuse_proxy.config.shares import CAPS, share, shared
from reuse_proxy.errors import SettingsError


@given(st.integers(0, 1_000_000), st.integers(1, 64))
def test_the_shares_of_a_cap_add_up_to_it(whole, count):
    """Exactly, and no worker has more than one above another."""
    shares = [share(whole, index=index, count=count) for index in range(count)]

    assert sum(shares) == whole
    assert max(shares) - min(shares) <= 1


@given(st.integers(1, 64), st.data())
def test_every_cap_is_divided_and_nothing_else(workers, data):
    """Whatever the caps are, as long as each worker gets something."""
    caps = {
        name: data.draw(st.integers(64 if name != "spool_total" else 1024, 10_000))
        for name in CAPS
    }
    settings = load({**caps, "workers": workers}, {}).settings

    parts = [shared(settings, index=index) for index in range(workers)]
    assert {n: sum(getattr(p, n) for p in parts) for n in CAPS} == caps
    assert min(getattr(part, name) for part in parts for name in CAPS) > 0
    rest = set(type(settings).model_fields) - set(CAPS)
    assert all(getattr(p, n) == getattr(settings, n) for p in parts for n in rest)


@pytest.mark.parametrize("name", [name for name in CAPS if name != "spool_total"])
def test_a_cap_that_leaves_a_worker_nothing_is_refused(name):
    """Both settings are named, with where they came from."""
    with pytest.raises(SettingsError) as refused:
        load({name: "3"}, {"REUSE_PROXY_WORKERS": "4"})

    said = str(refused.value)
    assert f"{name} = 3 (from --{name.replace('_', '-')})" in said
    assert "workers = 4 (from REUSE_PROXY_WORKERS)" in said
    assert f"give {name} at least 4, or have fewer workers" in said


def test_no_queue_at_all_may_be_divided():
    """A max_queue of 0 is meant, by every worker."""
    settings = load({"max_queue": "0", "workers": "4"}, {}).settings

    assert [shared(settings, index=index).max_queue for index in range(4)] == [0] * 4
