"""Bundles of roots, and what clients do with them."""

import asyncio
import shlex
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from reuse_proxy.ca.issue import issue, new_key
from reuse_proxy.ca.leaves import server_context
from reuse_proxy.ca.store import create
from reuse_proxy.ca.trust import bundle, count, instructions, system_roots
from reuse_proxy.errors import SettingsError
from tests.support.programs import need, run
from tests.unit.ca.making import IS_CA, pem_of, self_signed

VARIABLES = ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS")

PYTHON = """
import socket, ssl
plain = socket.create_connection(("127.0.0.1", {port}))
tls = ssl.create_default_context().wrap_socket(plain, server_hostname="a.example")
tls.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
print(tls.recv(999))
"""
NODE = """
const host = {{host: "127.0.0.1", port: {port}, servername: "a.example"}}
require("https").get(host, r => r.on("data", d => console.log(String(d))))
"""

FETCH = {
    "curl": ("curl", "-sS", "--resolve", "a.example:{port}:127.0.0.1", "{url}"),
    "Python httpx, aiohttp, urllib": (sys.executable, "-c", PYTHON),
    "Node.js": ("node", "-e", NODE),
}


@pytest.fixture
def root():
    """A root of somebody else's."""
    return self_signed(new_key(), IS_CA)


@pytest.fixture
def https(authority):
    """Serve "hello" to whoever trusts the authority."""
    key = new_key()
    return server_context(issue(authority, "a.example", key) + pem_of(key))


@pytest.fixture
def java_home():
    """Where this machine's Java is."""
    return str(Path(need("keytool")).resolve().parents[1])


def lines_for(client, *paths):
    """Return what to type for a client."""
    (found,) = [entry for entry in instructions(*paths) if entry.client == client]
    return found.lines


def test_a_bundle_begins_with_the_authority_and_has_each_root_once(authority, root):
    """Without the comments of the system's file, whatever its line ends are."""
    roots = b"# A comment\n" + root + b"\n\n" + root.replace(b"\n", b"\r\n")

    made = bundle(authority.pem, roots)

    assert made == authority.pem + root
    assert count(made) == 2


def test_openssl_reads_all_of_a_bundle(authority):
    """With the roots of this system."""
    made = bundle(authority.pem, system_roots())

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=made.decode())
    assert context.cert_store_stats()["x509"] == count(made) > 10


def test_an_authority_that_was_given_up_leaves_the_bundle(authority, tmp_path, root):
    """SSL_CERT_FILE may name the bundle of last year."""
    old = create(tmp_path / "old").pem
    before = bundle(old, root)

    assert bundle(authority.pem, before) == bundle(authority.pem, root)
    assert bundle(authority.pem, bundle(authority.pem, root)) == authority.pem + root


def test_the_roots_are_those_that_are_asked_for_or_the_first_found(
    tmp_path, monkeypatch, root
):
    """A file that is named, else SSL_CERT_FILE, else the first that exists."""
    named, variable, known = (tmp_path / name for name in ("named", "var", "known"))
    for path in named, variable, known:
        path.write_bytes(path.name.encode() + b"\n" + root)
    places = (tmp_path / "missing", known, named)

    monkeypatch.setenv("SSL_CERT_FILE", str(variable))
    assert system_roots(named).startswith(b"named")
    assert system_roots(well_known=places).startswith(b"var")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
    assert system_roots(well_known=places).startswith(b"known")


def test_no_roots_are_told_with_the_flag_that_helps(tmp_path, monkeypatch):
    """None found, none there, or none in the file."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
    empty = tmp_path / "empty"
    empty.write_text("-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n")

    with pytest.raises(SettingsError, match=r"none of the well-known .*--roots FILE"):
        system_roots(well_known=[tmp_path / "missing"])
    with pytest.raises(SettingsError, match=r"missing cannot be read.*--roots FILE"):
        system_roots(tmp_path / "missing")
    with pytest.raises(SettingsError, match=r"empty holds no certificate .*--roots"):
        system_roots(empty)


def test_only_what_adds_to_the_roots_is_given_the_authority_alone(tmp_path):
    """All others would trust nobody else any more."""
    ca, everything = tmp_path / "ca.pem", tmp_path / "bundle.pem"

    for entry in instructions(ca, everything):
        text = " ".join(entry.lines)
        if entry.lines[0].startswith("export "):
            assert (str(everything) in text) is entry.replaces
            assert (str(ca) in text) is not entry.replaces


def test_what_is_to_be_typed_is_quoted_for_a_shell(tmp_path):
    """A home folder may have a blank in its name."""
    ca, everything = tmp_path / "my ca" / "ca.pem", tmp_path / "my ca" / "bundle.pem"

    for entry in instructions(ca, everything):
        for line in entry.lines:
            words = shlex.split(line)
            assert ("my ca" in line) is any(str(ca.parent) in word for word in words)


@pytest.mark.parametrize("client", FETCH)
async def test_a_client_that_does_as_told_trusts_the_authority(
    client, authority, folder, https, root, monkeypatch
):
    """And one that does not, does not."""
    need(FETCH[client][0])
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    everything = folder / "my bundle.pem"
    everything.write_bytes(bundle(authority.pem, root))
    (line,) = lines_for(client, folder / "ca.pem", everything)

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=https)
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"https://a.example:{port}/"
        command = [word.format(port=port, url=url) for word in FETCH[client]]
        with pytest.raises(AssertionError, match=r"(?i)certificate"):
            await run(*command)
        monkeypatch.setenv(*shlex.split(line)[1].split("=", 1))
        assert "hello" in await run(*command)


@pytest.mark.usefixtures("authority")
@pytest.mark.parametrize("has_home", [False, True])
async def test_java_is_given_a_trust_store_of_both(
    folder, tmp_path, monkeypatch, has_home, java_home
):
    """The lines run as they are, whether or not a home of Java is set."""
    keytool = need("keytool")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    if has_home:
        monkeypatch.setenv("JAVA_HOME", java_home)
    store = tmp_path / "my ca" / "java-truststore"
    store.parent.mkdir()
    lines = lines_for("Java", folder / "ca.pem", store.with_name("bundle.pem"))

    for line in lines[:-1]:
        await run("sh", "-c", line)

    listed = await run(
        *(keytool, "-list", "-storepass", "changeit", "-keystore", str(store))
    )
    assert "reuse-proxy, " in listed
    assert listed.count("trustedCertEntry") > 10
    shown = await run(
        *("sh", "-c", f"{lines[-1]}; java -XshowSettings:properties -version 2>&1")
    )
    assert f"javax.net.ssl.trustStore = {store}\n" in shown


@pytest.mark.usefixtures("authority")
def test_java_is_given_no_trust_store_of_the_authority_alone(
    folder, tmp_path, monkeypatch
):
    """It would trust nobody else any more."""
    need("keytool")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "missing"))
    lines = lines_for("Java", folder / "ca.pem", tmp_path / "bundle.pem")

    done = subprocess.run(  # noqa: S602 - what a user would paste
        "\n".join(lines), shell=True, check=False, capture_output=True
    )

    assert b"missing/lib/security/cacerts" in done.stderr
    assert not (tmp_path / "java-truststore").exists()
