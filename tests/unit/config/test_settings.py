"""The settings: defaults, precedence, sources, refusals and cross-checks."""

import resource

import pytest

from reuse_proxy.config.address import Address
from reuse_proxy.config.loading import load
from reuse_proxy.config.settings import Settings, default_of, kind_of
from reuse_proxy.errors import SettingsError


@pytest.fixture
def config_file(tmp_path):
    """Return a function that writes a TOML file and returns its path."""

    def write(text):
        path = tmp_path / "reuse-proxy.toml"
        path.write_text(text)
        return path

    return write


def refusal(flags=None, environ=None, path=None):
    """Load settings that are wrong and return what the user reads."""
    with pytest.raises(SettingsError) as caught:
        load(flags or {}, environ or {}, path)
    return str(caught.value)


def test_nothing_has_to_be_set():
    """All settings have a default, and say so."""
    loaded = load({}, {})

    assert loaded.settings.listen == (Address("127.0.0.1", 4128),)
    assert loaded.settings.dial_patience is None
    assert set(loaded.sources.values()) == {"default"}
    assert loaded.warnings == ()


def test_settings_made_in_code_read_no_environment(monkeypatch):
    """Only `load` looks at other sources."""
    monkeypatch.setenv("MAX_QUEUE", "5")
    monkeypatch.setenv("REUSE_PROXY_MAX_QUEUE", "5")

    assert Settings().max_queue == 1024


def test_settings_cannot_be_changed():
    """What was checked stays as it was."""
    settings = Settings()

    with pytest.raises(ValueError, match="frozen"):
        settings.max_queue = 5  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_kind_a_description_and_a_default(name):
    """The help text of every flag is complete, and its default can be given back."""
    field = Settings.model_fields[name]
    default = field.get_default(call_default_factory=True)

    assert field.description
    assert kind_of(name).parse(default_of(name)) == default


@pytest.mark.parametrize(
    ("soft", "sockets"), [(256, 64), (4096, 512), (resource.RLIM_INFINITY, 512), (3, 1)]
)
def test_the_default_of_max_sockets_leaves_most_files_to_others(
    monkeypatch, soft, sockets
):
    """A quarter of the limit on open files, and never more than 512."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))

    assert Settings().max_sockets == sockets


@pytest.mark.parametrize(
    ("flags", "environ", "value", "source"),
    [
        ({"max_queue": "3"}, {"REUSE_PROXY_MAX_QUEUE": "2"}, 3, "--max-queue"),
        ({}, {"REUSE_PROXY_MAX_QUEUE": "2"}, 2, "REUSE_PROXY_MAX_QUEUE"),
        ({}, {}, 1, "reuse-proxy.toml"),
    ],
)
def test_a_flag_beats_the_environment_which_beats_the_file(
    config_file, flags, environ, value, source
):
    """And the source of the value in effect is told."""
    loaded = load(flags, environ, config_file("max_queue = 1"))

    assert loaded.settings.max_queue == value
    assert loaded.sources["max_queue"].endswith(source)


@pytest.mark.parametrize(
    ("flags", "environ", "sentence"),
    [
        (
            {},
            {"REUSE_PROXY_MAX_SOCKETS": "many"},
            (
                'max_sockets = "many" (from REUSE_PROXY_MAX_SOCKETS) is not a whole'
                " number; give a number of sockets from 1 to 1000000."
            ),
        ),
        (
            {"drain_max_bytes": "16MB"},
            {},
            (
                'drain_max_bytes = "16MB" (from --drain-max-bytes) is not a size;'
                " give bytes, or a number with KiB, MiB or GiB, from 0 to 1024 GiB."
            ),
        ),
        (
            {"listen": ["127.0.0.1:1", "::1:80"]},
            {},
            (
                'listen = "::1:80" (from --listen) is not an address;'
                " give host:port, [v6]:port or unix:PATH, comma separated."
            ),
        ),
    ],
)
def test_a_wrong_value_gets_one_helpful_sentence(flags, environ, sentence):
    """Setting, value, source, what is wrong and what is allowed."""
    assert refusal(flags, environ) == sentence


def test_every_wrong_value_gets_its_own_line(config_file):
    """Nobody corrects one mistake only to be told of the next."""
    path = config_file("idle_timeout = 'x'\nmax_socket = 5\n")

    first, second, third = sorted(refusal({"max_queue": "-1"}, {}, path).splitlines())

    assert first.startswith(f'idle_timeout = "x" (from {path}) is not a time;')
    assert second.startswith('max_queue = "-1" (from --max-queue) is too small;')
    assert third == (
        f"max_socket (in {path}) is not a setting; did you mean max_sockets?"
    )


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("max-sockets = 5", "did you mean max_sockets?"),
        ("[pool]", "`reuse-proxy check` lists them."),
        ("_env_file = 'x'", "did you mean ca_file?"),
    ],
)
def test_an_unknown_key_in_the_file_is_refused(config_file, line, hint):
    """Tables and the library's own parameters are no settings either."""
    key = line.strip("[]").split(" ")[0]

    sentence = refusal(path=config_file(line))

    assert sentence.startswith(f"{key} (in ")
    assert sentence.endswith(f"is not a setting; {hint}")


def test_no_word_of_pydantic_reaches_the_user(config_file):
    """Whatever the type of a value, the sentence is ours."""
    for name in Settings.model_fields:
        path = config_file(f"{name} = 2001-01-01")

        sentence = refusal(path=path)

        assert sentence.startswith(f'{name} = "2001-01-01" (from {path}) is ')
        assert "\n" not in sentence


@pytest.mark.parametrize(
    ("name", "guard", "address"),
    [
        ("listen", "allow_clients", "0.0.0.0:4128"),
        ("listen", "allow_clients", "[::]:4128"),
        ("admin", "allow_admin", "10.0.0.1:4129"),
    ],
)
def test_a_listener_that_others_reach_needs_its_list(name, guard, address):
    """The refusal says what to set; with it, the listener is allowed."""
    sentence = refusal({name: address})

    assert sentence == (
        f"{name} = {address} (from --{name}) is not a loopback address; set {guard},"
        f" for example {guard} = 10.0.0.0/8, to the networks that may connect."
    )
    assert load({name: address, guard: "10.0.0.0/8"}, {}).settings


def test_one_list_does_not_open_the_other_listener():
    """Clients of the proxy are no readers of the admin listener."""
    sentence = refusal({"admin": "0.0.0.0:4129", "allow_clients": "10.0.0.0/8"})

    assert "set allow_admin" in sentence


def test_a_cap_that_is_never_reached_is_a_warning_if_somebody_set_it():
    """The default may be larger than a cap that was set on purpose."""
    unset = load({"max_sockets": "8"}, {})
    chosen = load({"max_sockets": "8", "max_per_origin": "9"}, {})

    assert unset.warnings == ()
    assert chosen.settings.max_per_origin == 9
    assert len(chosen.warnings) == 1
    assert chosen.warnings[0] == (
        "max_per_origin = 9 (from --max-per-origin) is larger than max_sockets = 8"
        " and is never reached."
    )


def test_more_connections_than_open_files_is_a_warning(monkeypatch):
    """It starts all the same: nearly nobody has so many clients at once."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    loaded = load({"max_clients": "1000", "max_sockets": "25"}, {})

    assert loaded.warnings[0] == (
        "max_clients = 1000 and max_sockets = 25 are more than the 1024 open files"
        " that this process may have; raise that limit (ulimit -n) or lower the"
        " settings."
    )
    assert load({}, {}).warnings == ()
    several = load({"max_clients": "2000", "max_sockets": "50", "workers": "2"}, {})
    assert "more than the 2048 open files that 2 workers may" in several.warnings[0]


def test_an_unknown_variable_is_refused():
    """As an unknown flag and an unknown key of the file are."""
    sentence = refusal(environ={"REUSE_PROXY_MAX_SOKETS": "5"})

    assert sentence == (
        "REUSE_PROXY_MAX_SOKETS (in the environment) is not a setting;"
        " did you mean REUSE_PROXY_MAX_SOCKETS?"
    )


@pytest.mark.parametrize("address", ["127.0.0.1:4128", "unix:/run/a"])
def test_both_listeners_at_one_address_are_refused(address):
    """Before anything is bound; any free port may be said twice."""
    sentence = refusal({"listen": address, "admin": address})

    assert sentence == (
        f"listen and admin are both {address}; give one of them another address."
    )
    assert load({"listen": "127.0.0.1:0", "admin": "127.0.0.1:0"}, {}).settings


@pytest.mark.parametrize("name", ["listen", "admin"])
def test_a_proxy_that_would_be_its_own_parent_is_refused(name):
    """Before any request goes round in circles."""
    sentence = refusal({name: "127.0.0.1:9", "parent_proxy": "http://u:p@127.0.0.1:9"})

    assert sentence == (
        f"{name} and parent_proxy are both 127.0.0.1:9; no proxy is its own parent."
    )
    assert load({name: "127.0.0.1:9", "parent_proxy": "http://127.0.0.1:8"}, {})


def test_what_is_in_effect_can_be_given_back():
    """Printed values, taken as flags, make the same settings."""
    flags = {
        "listen": ["[::1]:0,unix:/run/a", "127.0.0.1:1"],
        "dial_patience": "7ms",
        "deny_ports": "none",
        "deny_private": True,
        "spool_total": "1.5 GiB",
    }
    loaded = load(flags, {})

    again = load({row.name: row.value for row in loaded.effective()}, {})

    assert again.settings == loaded.settings
