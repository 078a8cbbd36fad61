"""A CA in a folder of its own, and OpenSSL's opinion of certificates."""

import subprocess

import pytest

from reuse_proxy.ca.store import CERTIFICATE_FILE, KEY_FILE, create
from tests.support.programs import need, put_on_path
from tests.unit.ca.making import pem_of, self_signed


@pytest.fixture(autouse=True)
def _program(tmp_path_factory, monkeypatch):
    """The shell finds the program, so that advice is short."""
    put_on_path(tmp_path_factory.mktemp("path"), monkeypatch)


@pytest.fixture
def folder(tmp_path):
    """Where a CA goes; nothing is there yet."""
    return tmp_path / "ca"


@pytest.fixture
def authority(folder):
    """A CA that may sign for every host."""
    return create(folder)


@pytest.fixture
def put(folder):
    """Put a key and its certificate into the folder of a CA."""

    def put(key, *extensions, **life):
        folder.mkdir(mode=0o700)
        (folder / KEY_FILE).write_bytes(pem_of(key))
        (folder / KEY_FILE).chmod(0o600)
        (folder / CERTIFICATE_FILE).write_bytes(self_signed(key, *extensions, **life))

    return put


@pytest.fixture
def openssl(tmp_path):
    """Run openssl with files of the given contents; return its code and its words."""
    program = need("openssl")

    def run(*words):
        arguments = []
        for number, word in enumerate(words):
            if isinstance(word, bytes):
                path = tmp_path / f"openssl-{number}.pem"
                path.write_bytes(word)
                arguments.append(str(path))
            else:
                arguments.append(word)
        done = subprocess.run(  # noqa: S603 - our own words
            [program, *arguments], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def verified(openssl):
    """Return what `openssl verify` says against a leaf, or nothing if it is fine."""

    def verify(authority_pem, leaf, *options, strict=True):
        code, words = openssl(
            *("verify", "-purpose", "sslserver", *options),
            *(["-x509_strict"] if strict else []),
            *("-no-CApath", "-no-CAfile", "-CAfile", authority_pem, leaf),
        )
        return "" if code == 0 else words

    return verify
