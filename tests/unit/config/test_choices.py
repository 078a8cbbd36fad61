"""Settings that are one of a few words."""

import pytest

from reuse_proxy.config.choices import Choice
from reuse_proxy.config.loading import load
from reuse_proxy.config.units import NotAllowedError
from reuse_proxy.errors import SettingsError

KIND = Choice(("off", "text", "json"))


@pytest.mark.parametrize(
    ("value", "read"), [("off", "off"), (" Text ", "text"), ("JSON", "json")]
)
def test_a_word_is_read_in_any_case_and_printed_as_it_is_spelled(value, read):
    """Whatever is printed is read back."""
    assert KIND.parse(value) == read
    assert KIND.show(value) == read


@pytest.mark.parametrize(
    "value", ["", "on", "true", "textjson", False, 0, None, ["off"]]
)
def test_what_is_none_of_the_words_is_refused(value):
    """TOML's `false` too: it could mean several things elsewhere."""
    with pytest.raises(NotAllowedError, match="is none of the choices"):
        KIND.parse(value)


def test_a_refusal_names_the_setting_its_source_and_the_words():
    """As every setting's does."""
    with pytest.raises(SettingsError) as refused:
        load({}, {"REUSE_PROXY_ACCESS_LOG": "yes"}, None)

    assert str(refused.value) == (
        'access_log = "yes" (from REUSE_PROXY_ACCESS_LOG) is none of the choices;'
        " give off, text or json."
    )
