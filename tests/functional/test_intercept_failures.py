"""Interception going wrong: each failure is told, counted, and leaves nothing."""

import asyncio
import gc
import logging
import re
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from reuse_proxy import program
from reuse_proxy.ca import store
from tests.support.client import Client
from tests.support.intercepting import intercepted, intercepts
from tests.support.own_errors import assert_own_error
from tests.support.tls import LocalAuthority

HOST = ("Host: origin.test",)


def descriptors():
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def nothing_is_left(proxy, before):
    """No client, task or descriptor; only idle connections to origins may stay."""
    async with asyncio.timeout(5):
        while proxy.server.connections or len(proxy._tasks):
            await asyncio.sleep(0.01)
    gc.collect()
    assert descriptors() - before <= 2 * proxy.session.pool.sockets


def signed_by_nobody(_):
    """A certificate whose authority nobody knows."""
    return trustme.CA().issue_cert("origin.test")


def for_another_host(ca):
    """A certificate of a trusted authority for somebody else."""
    return ca.issue_cert("other.test")


def expired(ca):
    """A certificate of a trusted authority that is over."""
    return ca.issue_cert("origin.test", not_after=datetime.now(UTC) - timedelta(days=1))


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (signed_by_nobody, b"unable to get local issuer certificate"),
        (for_another_host, b"Hostname mismatch"),
        (expired, b"certificate has expired"),
    ],
)
async def test_s35_a_bad_certificate_is_502_and_never_hidden_behind_our_leaf(
    make_origin, make_proxy, tmp_path, local_ca, certificate, reason
):
    """The client's TLS with us is fine; it is told why the origin's is not."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate(ca).configure_cert(context)
    origin = await make_origin(tls=context)
    proxy = await make_proxy(
        intercept="origin.test",
        ca_dir=local_ca.folder,
        ca_file=tmp_path / "ca.pem",
        connect_ports=origin.port,
    )
    async with intercepted(proxy, origin, local_ca) as client:
        response = await client.ask("/secret", *HOST, "Authorization: Basic c2VjcmV0")

        assert_own_error(response, 502, "tls_certificate_error")
        assert reason in response.body
        assert f"https://origin.test:{origin.port}".encode() in response.body
    assert origin.requests == []


async def test_plain_http_inside_of_an_opened_connect_is_400(intercepting, tls_origin):
    """It is told what to do, and nothing reaches the origin."""
    proxy = await intercepting()
    before = descriptors()
    async with Client(proxy.listening[0]) as client:
        await client.connect(tls_origin.authority)
        await client.send(b"GET / HTTP/1.1\r\nHost: origin.test\r\n\r\n")
        response = await client.response()

        assert response.status == 400
        assert b"what came is not TLS" in response.body
        assert await client.rest() == b""
    assert intercepts(proxy, tls_origin) == {"not_tls": 1}
    assert tls_origin.accepted == 0
    await nothing_is_left(proxy, before)


@pytest.mark.parametrize("sent", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"])
async def test_a_client_that_hangs_in_the_handshake_is_closed_in_time(
    intercepting, tls_origin, sent
):
    """After tls_timeout, wherever it stopped; nothing of it is left."""
    proxy = await intercepting(tls_timeout="300ms")
    before = descriptors()
    async with Client(proxy.listening[0]) as client:
        await client.connect(tls_origin.authority)
        await client.send(sent)
        async with asyncio.timeout(5):
            await client.until_closed()
    assert intercepts(proxy, tls_origin) == {"timeout": 1}
    await nothing_is_left(proxy, before)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01"])
async def test_a_client_that_leaves_in_the_handshake_leaves_nothing(
    intercepting, tls_origin, sent
):
    """Before its first byte, or amid its hello."""
    proxy = await intercepting()
    before = descriptors()
    async with Client(proxy.listening[0]) as client:
        await client.connect(tls_origin.authority)
        await client.send(sent)
        client.reset()
    await nothing_is_left(proxy, before)
    assert intercepts(proxy, tls_origin) == {"closed": 1}


async def test_garbage_that_looks_like_tls_is_closed(intercepting, tls_origin):
    """A record of the right kind with nonsense in it."""
    proxy = await intercepting()
    before = descriptors()
    async with Client(proxy.listening[0]) as client:
        await client.connect(tls_origin.authority)
        await client.send(b"\x16\x03\x01\x00\x10" + b"\xff" * 16)
        await client.until_closed()
    await nothing_is_left(proxy, before)
    assert intercepts(proxy, tls_origin) == {"tls_error": 1}


async def test_a_client_that_refuses_our_ca_is_counted_and_told_of_once(
    intercepting, tls_origin, authority, caplog
):
    """Per host; the log says what to do, one time."""
    proxy = await intercepting()
    with caplog.at_level(logging.WARNING, "reuse_proxy"):
        for _ in range(3):
            async with Client(proxy.listening[0]) as client:
                await client.connect(tls_origin.authority)
                with pytest.raises(ssl.SSLCertVerificationError):
                    await client.start_tls(authority.client(), "origin.test")
        async with asyncio.timeout(5):
            while intercepts(proxy, tls_origin).get("refused_ca") != 3:
                await asyncio.sleep(0.01)

    (record,) = caplog.records
    assert f"`{program.command()} ca show` says how" in record.getMessage()
    assert f"origin.test:{tls_origin.port}" in record.getMessage()
    assert tls_origin.accepted == 0


async def test_a_client_that_asks_nothing_is_counted(
    intercepting, tls_origin, local_ca
):
    """Node looks at the certificate only when the handshake is over."""
    proxy = await intercepting()
    async with intercepted(proxy, tls_origin, local_ca):
        pass
    async with asyncio.timeout(5):
        while "no_request" not in intercepts(proxy, tls_origin):
            await asyncio.sleep(0.01)

    assert intercepts(proxy, tls_origin) == {"ok": 1, "no_request": 1}


async def test_a_client_that_we_close_is_not_said_to_distrust_us(
    intercepting, tls_origin, local_ca, caplog
):
    """It had asked for nothing when it was idle for too long."""
    proxy = await intercepting(client_idle_timeout="200ms")
    with caplog.at_level(logging.WARNING, "reuse_proxy"):
        async with intercepted(proxy, tls_origin, local_ca) as client:
            await client.until_closed()
            async with asyncio.timeout(5):
                while proxy.server.connections:
                    await asyncio.sleep(0.01)

    assert intercepts(proxy, tls_origin) == {"ok": 1}
    assert caplog.records == []


@pytest.mark.parametrize("ending", ["Connection: close", "X-Nothing: 1"])
async def test_a_slow_reader_gets_all_of_a_response_through_tls(
    intercepting, tls_origin, local_ca, ending
):
    """Also what waits in us when the proxy would close, or is stopping."""
    proxy = await intercepting()
    async with intercepted(proxy, tls_origin, local_ca) as client:
        transport = client.writer.transport
        transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(
            f"GET /bytes/9000000 HTTP/1.1\r\nHost: x\r\n{ending}\r\n\r\n".encode()
        )
        async with asyncio.timeout(10):
            while not proxy.stall_watch.spooled:
                await asyncio.sleep(0.01)
        stopping = asyncio.create_task(proxy.drain())  # noqa: TID251
        # Longer than a loop gives TLS by default to answer a close.
        await asyncio.sleep(1.5)
        transport.resume_reading()  # type: ignore[attr-defined]
        received = await client.until_closed()

        assert len(received.partition(b"\r\n\r\n")[2]) == 9_000_000
        assert await stopping


@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_a_hello_in_pieces_or_with_the_connect_is_understood(
    intercepting, tls_origin, local_ca, size
):
    """Whatever comes behind CONNECT belongs to TLS, also ahead of our 200."""
    proxy = await intercepting()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = local_ca.client().wrap_bio(incoming, outgoing, server_hostname="origin.test")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    connect = b"CONNECT %b HTTP/1.1\r\nHost: x\r\n\r\n" % tls_origin.authority
    data = connect + outgoing.read()
    async with Client(proxy.listening[0]) as client:
        for start in range(0, len(data), size):
            await client.send(data[start : start + size])
        await client.reader.readuntil(b"\r\n\r\n")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                incoming.write(await client.reader.read(65536))
        # The request comes in one packet with the end of the handshake.
        tls.write(b"GET /bytes/5 HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.send(outgoing.read())
        answer = b""
        while not answer.endswith(b"xxxxx"):
            incoming.write(await client.reader.read(65536))
            try:
                answer += tls.read(65536)
            except ssl.SSLWantReadError:
                continue

    assert answer.startswith(b"HTTP/1.1 200")


async def test_a_truncated_response_stays_truncated(
    make_origin, make_proxy, authority, local_ca
):
    """D9 through TLS: fewer bytes than announced, or no last chunk."""

    async def script(connection):
        request = await connection.request()
        head = b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        if request.target == b"/counted":
            head = b"Content-Length: 50\r\n\r\nhello"
        await connection.send(b"HTTP/1.1 200 OK\r\n" + head)

    origin = await make_origin(script, tls=authority.server())
    proxy = await make_proxy(
        intercept="*",
        ca_dir=local_ca.folder,
        ca_file=authority.file,
        connect_ports=origin.port,
    )
    for path in ("/counted", "/chunked"):
        async with intercepted(proxy, origin, local_ca) as client:
            await client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            received = await client.until_closed()

        assert b"hello" in received
        assert not received.endswith(b"0\r\n\r\n")


async def test_slow_heads_and_idle_clients_have_their_limits_inside_tls(
    intercepting, tls_origin, local_ca
):
    """As without TLS: 408 for a head that does not come, a close for an idle one."""
    proxy = await intercepting(client_head_timeout="300ms", client_idle_timeout="700ms")
    async with intercepted(proxy, tls_origin, local_ca) as slow:
        await slow.send(b"GET / HTTP/1.1\r\nHo")

        assert (await slow.response()).status == 408
    async with intercepted(proxy, tls_origin, local_ca) as idle:
        await idle.ask("/", *HOST)

        assert await idle.until_closed() == b""


async def test_s36_credentials_of_intercepted_hosts_are_never_logged(
    intercepting, tls_origin, local_ca, caplog
):
    """Neither of a request that is served nor of one that is refused."""
    proxy = await intercepting()
    secret = ("Authorization: Bearer s3cr3t", "Cookie: session=s3cr3t")
    with caplog.at_level(logging.DEBUG):
        async with intercepted(proxy, tls_origin, local_ca) as client:
            await client.ask("/?key=s3cr3t", *HOST, *secret)
            await client.ask("/", "Host: a b", *secret)
            await client.send(b"GET /s3cr3t\x01 HTTP/9.9\r\nCookie: s3cr3t\r\n\r\n")
            await client.until_closed()

    assert "s3cr3t" not in caplog.text


async def test_a_never_reading_client_is_bounded_inside_tls(
    make_origin, make_proxy, authority, local_ca
):
    """What is held for it stays near spool_per_response, and it is reset in time."""
    origin = await make_origin(tls=authority.server())
    proxy = await make_proxy(
        intercept="*",
        ca_dir=local_ca.folder,
        ca_file=authority.file,
        connect_ports=origin.port,
        spool_per_response="256KiB",
        client_stall_timeout="1s",
    )
    async with intercepted(proxy, origin, local_ca) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(b"GET /bytes/33000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        most = 0
        async with asyncio.timeout(20):
            while not proxy.stall_watch.stalls:
                most = max(most, proxy.stall_watch.spooled)
                await asyncio.sleep(0.01)

        # The spool, one read of the origin, and TLS's own overhead.
        assert 0 < most < 1024 * 1024
        client.reset()


def made_long_ago(folder):
    """Replace the CA by one that is over."""
    store.create(folder, replace=True, now=datetime.now(UTC) - timedelta(days=400))


def with_the_key_of_another(folder):
    """Replace the certificate by a foreign one."""
    other = LocalAuthority.made(folder.parent / "other")
    (folder / "ca.pem").write_bytes(other.file.read_bytes())


CA_INIT = re.escape(f"run: {program.command()} ca init --replace --ca-dir ")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "ca-key.pem").chmod(0o644), "chmod 600"),
        (lambda folder: folder.chmod(0o755), "chmod 700"),
        (lambda folder: (folder / "ca.pem").write_text("x"), CA_INIT),
        (lambda folder: (folder / "ca.pem").unlink(), CA_INIT),
        (made_long_ago, "expired"),
        (with_the_key_of_another, "another key"),
    ],
    ids=["key", "folder", "certificate", "no certificate", "expired", "foreign"],
)
async def test_s34_a_start_with_a_ca_that_others_could_use_is_refused(
    make_proxy, tmp_path, spoil, reason
):
    """Also one that is missing or broken; the sentence says what to do."""
    folder = LocalAuthority.made(tmp_path / "ca").folder
    spoil(folder)

    with pytest.raises(Exception, match=reason) as caught:
        await make_proxy(intercept="*", ca_dir=folder)

    assert type(caught.value).__name__ == "SettingsError"
