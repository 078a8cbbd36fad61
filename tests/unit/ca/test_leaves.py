"""TLS contexts by host: real handshakes, one leaf at a time, renewed in time."""

import asyncio
import gc
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reuse_proxy.ca.issue import IssuerError, LeafError, issue, new_key
from reuse_proxy.ca.leaves import HAS_MEMORY_FILES, Leaves, server_context
from reuse_proxy.ca.store import create
from reuse_proxy.errors import UnavailableError
from reuse_proxy.tasks import TaskSet
from tests.unit.ca.making import listing, pem_of

HOUR = timedelta(hours=1)
HOSTS = ("a.example", "xn--bcher-kva.example", "127.0.0.1", "::1")


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = datetime.now(UTC)

    def __call__(self):
        """Tell the time."""
        return self.now


@pytest.fixture
async def tasks():
    """Where leaves are issued."""
    tasks = TaskSet()
    yield tasks
    await tasks.aclose()


@pytest.fixture
def clock():
    """The leaves' clock."""
    return Clock()


@pytest.fixture
def leaves(authority, tasks, clock):
    """Leaves for every host."""
    return Leaves(authority, tasks, clock=clock)


def trusting(authority):
    """Return a client's context that trusts one authority alone, strictly."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def open_files():
    """Count the process's descriptors."""
    return len(listing(Path("/dev/fd")))


async def handshake(server_side, client_side, host):
    """Return the client's view of a TLS connection that says a word."""

    async def serve(reader, writer):
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_side)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_side, server_hostname=host
        )
        seen = writer.get_extra_info("ssl_object")
        writer.write(b"word\n")
        assert await reader.read() == b"word\n"
        writer.close()
        await writer.wait_closed()
        return seen


@pytest.mark.parametrize("host", HOSTS)
async def test_a_client_that_trusts_the_authority_gets_through(authority, leaves, host):
    """With the newest TLS, and HTTP/1.1 although it would rather have another."""
    context = await leaves.context(host)

    seen = await handshake(context, trusting(authority), host)

    assert seen.version() == "TLSv1.3"
    assert seen.selected_alpn_protocol() == "http/1.1"
    assert len(seen.getpeercert()["subjectAltName"]) == 1
    assert seen.getpeercert()["subject"] == ()


@pytest.mark.parametrize("host", HOSTS)
async def test_a_client_takes_a_leaf_for_no_other_host(authority, leaves, host):
    """Neither for a name nor for an address."""
    context = await leaves.context(host)

    for other in ("b.example", "127.0.0.2", "::2"):
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            await handshake(context, trusting(authority), other)


async def test_a_client_of_another_installation_is_not_fooled(leaves, tmp_path):
    """Its authority has another key."""
    other = create(tmp_path / "other")

    with pytest.raises(ssl.SSLCertVerificationError, match="local issuer"):
        await handshake(await leaves.context("a.example"), trusting(other), "a.example")


async def test_tls_1_2_is_the_oldest_that_is_spoken(authority, leaves):
    """A client that knows no newer one gets through."""
    context, client = await leaves.context("a.example"), trusting(authority)
    client.maximum_version = ssl.TLSVersion.TLSv1_2

    seen = await handshake(context, client, "a.example")

    assert seen.version() == "TLSv1.2"
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_a_host_has_one_leaf_until_it_is_old(leaves, clock):
    """A tenth of its life is left when it is renewed: nearly 17 hours of a week."""
    first = await leaves.context("a.example")

    clock.now += timedelta(days=6)
    assert await leaves.context("a.example") is first
    clock.now += 8 * HOUR
    second = await leaves.context("a.example")
    assert second is not first
    assert await leaves.context("a.example") is second
    assert len(leaves) == 1


async def test_a_leaf_that_ends_with_its_authority_is_kept_to_the_end(
    authority, leaves, clock
):
    """Another would not live longer; then there is none, with the reason."""
    clock.now = authority.expires_at - HOUR
    context = await leaves.context("a.example")

    clock.now = authority.expires_at - timedelta(seconds=1)
    assert await leaves.context("a.example") is context
    clock.now = authority.expires_at
    with pytest.raises(IssuerError, match="has expired"):
        await leaves.context("a.example")


async def test_requests_for_one_host_share_one_issue(leaves):
    """However many come at once."""
    waiting = [
        asyncio.get_running_loop().create_task(leaves.context("a.example"))
        for _ in range(20)
    ]
    await asyncio.sleep(0)
    assert repr(leaves) == "<Leaves 0 of at most 1024, 1 being issued>"

    contexts = await asyncio.gather(*waiting)

    assert len(set(contexts)) == 1
    assert repr(leaves) == "<Leaves 1 of at most 1024, 0 being issued>"


async def test_a_client_that_leaves_does_not_take_the_leaf_from_others(leaves):
    """Not even the one that asked first."""
    loop = asyncio.get_running_loop()
    first = loop.create_task(leaves.context("a.example"))
    second = loop.create_task(leaves.context("a.example"))
    await asyncio.sleep(0)

    first.cancel()

    assert isinstance(await second, ssl.SSLContext)
    assert first.cancelled()


async def test_what_fails_with_nobody_left_is_silent(leaves, tasks):
    """The loop has no exception to complain of."""
    complaints = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    only = loop.create_task(leaves.context("*.example"))
    await asyncio.sleep(0)

    only.cancel()
    await asyncio.gather(only, return_exceptions=True)
    # Not by `join`, which asks each task for its exception.
    await asyncio.wait(set(tasks._tasks))
    del only  # which remembers the task in the frames of its end
    gc.collect()

    assert complaints == []
    assert repr(leaves) == "<Leaves 0 of at most 1024, 0 being issued>"


async def test_a_failure_is_told_to_all_and_not_remembered(folder, tasks, clock):
    """What has failed is tried again by who comes next."""
    authority = create(folder, days=1)
    leaves = Leaves(authority, tasks, clock=clock)
    clock.now += timedelta(days=2)
    failed = await asyncio.gather(
        *(leaves.context("a.example") for _ in range(3)), return_exceptions=True
    )

    clock.now -= timedelta(days=2)

    assert [type(error) for error in failed] == [IssuerError] * 3
    assert isinstance(await leaves.context("a.example"), ssl.SSLContext)


async def test_a_wildcard_has_no_leaf(leaves):
    """The client's mistake comes through as it is."""
    with pytest.raises(LeafError, match="wildcard"):
        await leaves.context("*.example")

    assert len(leaves) == 0


async def test_the_leaf_least_recently_used_goes_first(authority, tasks):
    """Their number is bounded."""
    leaves = Leaves(authority, tasks, max_leaves=2)
    a = await leaves.context("a.example")
    b = await leaves.context("b.example")
    assert await leaves.context("a.example") is a

    await leaves.context("c.example")

    assert len(leaves) == 2
    assert await leaves.context("a.example") is a
    assert await leaves.context("b.example") is not b


async def test_the_end_of_the_process_is_told_as_such(leaves, tasks):
    """Not as a cancellation of somebody who was not cancelled."""
    waiting = asyncio.get_running_loop().create_task(leaves.context("a.example"))
    await asyncio.sleep(0)

    await tasks.aclose()

    with pytest.raises(UnavailableError, match="stopping"):
        await waiting
    assert repr(leaves) == "<Leaves 0 of at most 1024, 0 being issued>"


@pytest.mark.parametrize("in_memory", [True, False])
def test_nothing_of_a_leaf_stays_on_disk_or_open(
    authority, tmp_path, monkeypatch, in_memory
):
    """By a file without a disk, and by a private one that is gone at once."""
    if in_memory and not HAS_MEMORY_FILES:
        pytest.skip("only Linux has files without a disk")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    if not in_memory:
        (tmp_path / "tmp").mkdir()
    key = new_key()
    before = open_files()

    context = server_context(
        issue(authority, "a.example", key) + pem_of(key), in_memory=in_memory
    )

    assert context.cert_store_stats()["x509"] == 0
    assert open_files() == before
    assert in_memory or listing(tmp_path / "tmp") == []


async def test_a_private_file_makes_the_same_context(authority):
    """For systems other than Linux."""
    key = new_key()
    pem = issue(authority, "a.example", key) + pem_of(key)

    seen = await handshake(
        server_context(pem, in_memory=False), trusting(authority), "a.example"
    )

    assert seen.selected_alpn_protocol() == "http/1.1"
