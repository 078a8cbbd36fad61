"""The CA for one command: what is in its bundle, and that nothing of it stays."""

import pytest

from reuse_proxy.ca import store, trust
from reuse_proxy.child.authority import private_authority
from reuse_proxy.errors import SettingsError


@pytest.fixture
def roots(tmp_path, monkeypatch):
    """This system's roots: one authority, so that nothing slow is read."""
    file = tmp_path / "roots.pem"
    # As of another program: what carries our own name is left out of bundles.
    monkeypatch.setattr(store, "COMMON_NAME", "Some Root")
    file.write_bytes(store.create(tmp_path / "root").pem)
    monkeypatch.undo()
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return file


def test_its_files_are_for_us_alone_and_gone_afterwards(roots):
    """The folder too."""
    with private_authority({}) as authority:
        mode = authority.folder.stat().st_mode & 0o777
        life = store.load(authority.folder).certificate
        inside = authority.bundle.parent == authority.folder

    assert mode == 0o700
    assert inside
    assert (life.not_valid_after_utc - life.not_valid_before_utc).days == 1
    assert not authority.folder.exists()


def test_it_is_gone_after_an_exception_too(roots):
    """However the block ends."""
    seen = []

    def fail():
        with private_authority({}) as authority:
            seen.append(authority.folder)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [folder.exists() for folder in seen] == [False]


def test_its_bundle_has_the_systems_roots_and_those_of_the_environment(
    roots, tmp_path, monkeypatch
):
    """Each once, whatever names them; a file that is missing is passed over."""
    more = tmp_path / "more.pem"
    monkeypatch.setattr(store, "COMMON_NAME", "Another Root")
    more.write_bytes(store.create(tmp_path / "other").pem)
    monkeypatch.undo()
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    environ = {
        "SSL_CERT_FILE": str(roots),
        "REQUESTS_CA_BUNDLE": str(more),
        "PIP_CERT": str(tmp_path / "none.pem"),
    }

    with private_authority(environ) as authority:
        pem = authority.bundle.read_bytes()
        own = store.load(authority.folder).pem

    assert trust.count(pem) == 3
    assert pem.startswith(own.strip())
    assert authority.warnings == ()


def test_without_roots_it_warns_and_goes_on(tmp_path, monkeypatch):
    """The CA alone is enough for all that goes through the proxy."""
    empty = tmp_path / "empty.pem"
    empty.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(empty))

    with private_authority({}) as authority:
        pem = authority.bundle.read_bytes()

    assert trust.count(pem) == 1
    assert len(authority.warnings) == 1
    assert "SSL_CERT_FILE" in authority.warnings[0]


def test_without_a_folder_for_it_there_is_a_sentence(tmp_path, monkeypatch):
    """It names the flag and the variable."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))

    with (
        pytest.raises(SettingsError, match=r"--https.*set TMPDIR"),
        private_authority({}),
    ):
        pass
