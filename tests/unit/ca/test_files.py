"""Files for their owner alone: made so, refused otherwise."""

import os
import resource

import pytest

from reuse_proxy.ca.files import (
    check_private_folder,
    make_private_folder,
    read,
    read_private,
    replace_all,
    write_all_new,
    write_new,
)
from reuse_proxy.errors import SettingsError
from tests.unit.ca.making import listing, mode_of

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may chown")


@pytest.fixture
def open_umask():
    """Let the process take no permission away by itself."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_a_folder_is_made_for_its_owner_alone(tmp_path):
    """With the folders above it, and again without complaint."""
    folder = tmp_path / "a" / "b"

    make_private_folder(folder)
    make_private_folder(folder)

    assert mode_of(folder) == 0o700


@pytest.mark.parametrize("mode", [0o710, 0o701, 0o750, 0o755, 0o777])
def test_a_folder_open_to_others_is_refused(tmp_path, mode):
    """The sentence is the command that helps, fit to be pasted."""
    folder = tmp_path / "my folder"
    folder.mkdir()
    folder.chmod(mode)

    with pytest.raises(SettingsError, match=f"chmod 700 '{folder}'"):
        make_private_folder(folder)


@needs_root
def test_a_folder_or_file_of_another_user_is_refused(tmp_path):
    """Its owner could have read the key, or put in another."""
    path = tmp_path / "key"
    path.write_bytes(b"key")
    path.chmod(0o600)
    os.chown(path, NOBODY, NOBODY)
    folder = tmp_path / "ca"
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)

    with pytest.raises(SettingsError, match=f"{path} belongs to user {NOBODY}"):
        read_private(path)
    with pytest.raises(SettingsError, match=f"{folder} belongs to user {NOBODY}"):
        check_private_folder(folder)


def test_a_missing_folder_names_the_command_that_makes_it(tmp_path):
    """And one that is a file is no folder."""
    (tmp_path / "file").touch()

    with pytest.raises(SettingsError, match=f"ca init --ca-dir '{tmp_path}/my ca'$"):
        check_private_folder(tmp_path / "my ca")
    with pytest.raises(SettingsError, match="is not a folder"):
        check_private_folder(tmp_path / "file")
    with pytest.raises(SettingsError, match="cannot be made"):
        make_private_folder(tmp_path / "file" / "ca")
    with pytest.raises(SettingsError, match="cannot be read"):
        check_private_folder(tmp_path / "file" / "ca")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_secret_open_to_others_is_not_read(tmp_path, mode):
    """The link that leads to it does not matter."""
    secret, link = tmp_path / "secret", tmp_path / "link"
    secret.write_bytes(b"key")
    secret.chmod(mode)
    link.symlink_to(secret)

    for path in secret, link:
        with pytest.raises(SettingsError, match=f"chmod 600 {path}"):
            read_private(path)


def test_a_secret_is_a_file_that_exists(tmp_path):
    """A pipe would wait for a writer for ever."""
    os.mkfifo(tmp_path / "pipe", 0o600)

    with pytest.raises(SettingsError, match="is not a file"):
        read_private(tmp_path / "pipe")
    with pytest.raises(SettingsError, match=r"is missing; run: .* init --replace"):
        read_private(tmp_path / "key")
    with pytest.raises(SettingsError, match="cannot be read"):
        read(tmp_path)


@pytest.mark.usefixtures("open_umask")
def test_what_is_written_is_read_back_with_its_mode(tmp_path):
    """Whatever the process's umask says."""
    secret, public = tmp_path / "secret", tmp_path / "public"

    write_all_new({secret: (b"key", 0o600), public: (b"certificate", 0o644)})

    assert (read_private(secret), mode_of(secret)) == (b"key", 0o600)
    assert (read(public), mode_of(public)) == (b"certificate", 0o644)


def test_an_existing_file_is_not_overwritten(tmp_path):
    """Nor does a file stay behind that was written before it was found."""
    first, second = tmp_path / "first", tmp_path / "second"
    second.write_bytes(b"old")

    with pytest.raises(SettingsError, match=f"{second} exists already"):
        write_all_new({first: (b"new", 0o600), second: (b"new", 0o644)})

    assert not first.exists()
    assert second.read_bytes() == b"old"


def test_a_file_is_replaced_and_no_draft_stays(tmp_path):
    """A link is replaced too, not what it leads to."""
    secret, link, target = (tmp_path / name for name in ("secret", "link", "target"))
    secret.write_bytes(b"old")
    secret.chmod(0o644)
    target.write_bytes(b"old")
    link.symlink_to(target)

    replace_all({secret: (b"new", 0o600), link: (b"new", 0o644)})

    assert (secret.read_bytes(), mode_of(secret)) == (b"new", 0o600)
    assert (link.read_bytes(), target.read_bytes()) == (b"new", b"old")
    assert listing(tmp_path) == ["link", "secret", "target"]


def test_what_cannot_be_replaced_leaves_no_draft(tmp_path):
    """A folder stands where the second file should go."""
    first, second = tmp_path / "first", tmp_path / "second"
    (second / "full").mkdir(parents=True)

    with pytest.raises(SettingsError, match=f"{second} cannot be written"):
        replace_all({first: (b"new", 0o600), second: (b"new", 0o600)})

    assert listing(tmp_path) == ["first", "second"]


def test_a_folder_that_is_missing_is_told(tmp_path):
    """Whose making is for somebody else."""
    with pytest.raises(SettingsError, match="cannot be written: No such file"):
        write_new(tmp_path / "missing" / "key", b"key", 0o600)


def test_a_replacement_that_cannot_be_written_is_told_by_its_own_name(tmp_path):
    """Nobody has asked for the draft."""
    target = tmp_path / "no" / "bundle.pem"

    with pytest.raises(SettingsError, match=f"^{target} cannot be written: No such"):
        replace_all({target: (b"new", 0o644)})


def test_a_file_that_does_not_fit_leaves_nothing(tmp_path):
    """Half a key would be in the way of the next attempt."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(SettingsError, match="cannot be written: File too large"):
            write_new(tmp_path / "key", b"key" * 100, 0o600)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert listing(tmp_path) == []
