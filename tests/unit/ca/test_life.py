"""How long an authority may live, and what it hands on to the next one."""

import shlex
from datetime import timedelta

import pytest
from cryptography import x509

from reuse_proxy.ca.issue import IssuerError, issue, new_key
from reuse_proxy.ca.scope import Scope
from reuse_proxy.ca.store import (
    CERTIFICATE_FILE,
    KEY_FILE,
    create,
    load,
    scope_of,
)
from reuse_proxy.errors import SettingsError
from tests.unit.ca.making import DAY, IS_CA, NOW

ONE_NAME = x509.NameConstraints([x509.DNSName(".a.example")], None)
NO_NAME = x509.NameConstraints(None, [x509.DNSName("a.example")])


def test_an_authority_has_its_time(folder):
    """Before and after it there is a sentence, and a way to look at it all the same."""
    made = create(folder, days=10, now=NOW)
    early, late = NOW - 2 * timedelta(hours=1), NOW + 11 * DAY

    assert load(folder, now=NOW).certificate == made.certificate
    assert load(folder, now=made.expires_at).certificate == made.certificate
    with pytest.raises(SettingsError, match=r"has expired on 2030-01-12; run: .*repl"):
        load(folder, now=late)
    with pytest.raises(SettingsError, match="is valid from 2030-01-02 02:04 UTC on"):
        load(folder, now=early)
    assert load(folder, now=late, any_time=True).fingerprint == made.fingerprint


@pytest.mark.parametrize("extensions", [(), (NO_NAME,)])
@pytest.mark.parametrize("any_time", [False, True])
def test_an_authority_for_every_host_lives_for_a_year_at_most(
    folder, put, extensions, any_time
):
    """One of the user's own too; whoever steals it has it for as long."""
    put(new_key(), IS_CA, *extensions, life=3650 * DAY)

    with pytest.raises(SettingsError, match=r"3650 days .* every host.*at most 366"):
        load(folder, now=NOW, any_time=any_time)


def test_a_leap_year_is_not_too_long(folder, put):
    """As other tools count a year."""
    put(new_key(), IS_CA, life=366 * DAY)

    assert load(folder, now=NOW).scope.permitted == ()


def test_an_authority_for_some_names_may_live_for_longer(folder, put):
    """There is less to be had from it."""
    put(new_key(), IS_CA, ONE_NAME, life=3650 * DAY)

    assert load(folder, now=NOW).scope.permitted == ("a.example",)


def test_what_an_authority_excludes_it_does_not_sign(folder, put, verified):
    """Clients would refuse the leaf, and nobody would know why."""
    put(new_key(), IS_CA, NO_NAME)
    authority = load(folder, now=NOW)

    other = issue(authority, "b.example", new_key(), now=NOW)
    with pytest.raises(IssuerError, match=r"b\.a\.example is among .* excludes"):
        issue(authority, "b.a.example", new_key(), now=NOW)

    then = ("-attime", f"{NOW.timestamp():.0f}")
    assert verified(authority.pem, other, *then, strict=False) == ""
    assert scope_of(folder) == Scope(excluded=("a.example",))


def test_the_names_are_read_though_the_authority_cannot_be_used(folder):
    """As one is that is to be replaced; of no certificate there are none."""
    assert scope_of(folder) == Scope()
    create(folder, permit=["a.example", "10.0.0.0/8"], now=NOW - 500 * DAY)
    (folder / KEY_FILE).unlink()

    assert scope_of(folder).permitted == ("a.example", "10.0.0.0/8")
    (folder / CERTIFICATE_FILE).write_text("x")
    assert scope_of(folder) == Scope()


@pytest.mark.parametrize("name", [KEY_FILE, CERTIFICATE_FILE])
def test_the_advice_is_for_this_folder_and_fit_for_a_shell(tmp_path, monkeypatch, name):
    """Without it the authority of the usual folder would be replaced."""
    folder = tmp_path / "my ca"
    create(folder)
    (folder / name).write_text("x")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SettingsError) as caught:
        load(folder.relative_to(tmp_path))

    command = str(caught.value).partition("run: ")[2]
    assert shlex.split(command) == [
        *("reuse-proxy", "ca", "init", "--replace", "--ca-dir", str(folder))
    ]
