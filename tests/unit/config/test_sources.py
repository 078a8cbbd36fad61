"""Where values come from: every one is found and carries its source."""

import pytest

from reuse_proxy.config.settings import Settings
from reuse_proxy.config.sources import (
    Given,
    close_match,
    from_environment,
    from_file,
    from_flags,
    unknown_variables,
)
from reuse_proxy.errors import SettingsError


def test_a_flag_is_named_as_it_was_typed():
    """A switch that was turned off was typed with `no`."""
    given = from_flags({"max_sockets": "5", "deny_private": False})

    assert given["max_sockets"].source == "--max-sockets"
    assert given["deny_private"].source == "--no-deny-private"


def test_the_environment_is_the_mapping_that_was_handed_in(monkeypatch):
    """The process's own variables play no part."""
    monkeypatch.setenv("REUSE_PROXY_MAX_SOCKETS", "7")

    given = from_environment(Settings, {"REUSE_PROXY_MAX_QUEUE": "8"})

    assert given == {"max_queue": Given("8", "REUSE_PROXY_MAX_QUEUE")}


def test_an_empty_variable_counts_as_not_set():
    """Compose files write empty strings for variables that are not there."""
    assert from_environment(Settings, {"REUSE_PROXY_MAX_SOCKETS": ""}) == {}


def test_a_given_value_is_not_in_its_repr():
    """It may be a password."""
    assert repr(Given("secret", "--flag")) == "Given(source='--flag')"


def test_unknown_variables_are_told_with_a_close_match():
    """Only variables with our prefix are looked at, and the file's own is known."""
    environ = {
        "HOME": "/",
        "REUSE_PROXY_CONFIG": "x.toml",
        "REUSE_PROXY_max_queue": "5",
        "REUSE_PROXY_MAX_SOCKET": "5",
        "REUSE_PROXY_PORT": "4128",
    }

    first, second = unknown_variables(Settings, environ)

    assert first == (
        "REUSE_PROXY_MAX_SOCKET (in the environment) is not a setting;"
        " did you mean REUSE_PROXY_MAX_SOCKETS?"
    )
    assert second.startswith("REUSE_PROXY_PORT (in the environment) is not a setting")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVICE_HOST", "10.0.0.1"),
        ("SERVICE_PORT", "4128"),
        ("SERVICE_PORT_PROXY", "4128"),
        ("PORT", "tcp://10.0.0.1:4128"),
        ("PORT_4128_TCP", "tcp://10.0.0.1:4128"),
        ("PORT_4128_TCP_PROTO", "tcp"),
        ("PORT_4128_TCP_PORT", "4128"),
        ("PORT_4128_TCP_ADDR", "10.0.0.1"),
        ("ADMIN_SERVICE_HOST", "10.0.0.1"),
    ],
)
def test_what_kubernetes_sets_for_a_service_of_our_name_is_no_mistake(name, value):
    """It is in every container beside that service."""
    assert not list(unknown_variables(Settings, {f"REUSE_PROXY_{name}": value}))


def test_a_file_is_read_from_the_flag_before_the_variable(tmp_path):
    """The values carry the path that was given."""
    flagged, named = tmp_path / "flag.toml", tmp_path / "variable.toml"
    flagged.write_text("max_queue = 1")
    named.write_text("max_queue = 2")
    environ = {"REUSE_PROXY_CONFIG": str(named)}

    assert from_file(Settings, flagged, environ)["max_queue"] == Given(1, str(flagged))
    assert from_file(Settings, None, environ)["max_queue"] == Given(2, str(named))
    assert from_file(Settings, None, {}) == {}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "is not a file; create it, or give another path."),
        (b"max_queue = 1\nmax_sockets\n", "is not TOML: .*line 2.*correct that line."),
        (b"a = 1\na = 2\n", "is not TOML: .*line 2"),
        (b"# \xff", "is not TOML: byte 3 is not UTF-8; save the file as UTF-8."),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, content, sentence):
    """The sentence says where in the file, and what to do."""
    path = tmp_path / "settings.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(
        SettingsError, match=rf"settings.toml \(from --config\) {sentence}"
    ):
        from_file(Settings, path, {})


def test_a_file_in_an_unreadable_place_is_named(tmp_path):
    """The system's reason is part of the sentence."""
    path = tmp_path / ("a" * 300)

    with pytest.raises(SettingsError, match=r"cannot be read \(file name too long\)"):
        from_file(Settings, path, {})


def test_a_long_value_is_cut_short_in_a_refusal():
    """A pasted file does not fill the screen."""
    refusal = Given("", "--listen").refusal("listen", "is not an address", "a" * 200)

    assert len(refusal) < 120


def test_a_name_like_no_other_gets_a_general_hint():
    """Nothing is suggested that was not nearly typed."""
    assert close_match("zzz", ["listen"]) == "`reuse-proxy check` lists them."
