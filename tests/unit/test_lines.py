"""Lines reach their descriptor in order, and never hold up the loop."""

import asyncio
import contextlib
import fcntl
import itertools
import logging
import os
import resource
import signal
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_proxy.lines import Lines, pieces

LINE = b"x" * 99 + b"\n"


@pytest.fixture
def pipe():
    """A pipe: where to read, and where to write."""
    reader, writer = os.pipe()
    yield reader, writer
    for end in (reader, writer):
        with contextlib.suppress(OSError):  # the test has closed it
            os.close(end)


def lines_to(descriptor, **options):
    """Make the lines of a test's log."""
    return Lines(descriptor, name="the test's log", **options)


def read_all(descriptor):
    """Read to the end of a pipe, whose other end is closed meanwhile."""
    data = b""
    while more := os.read(descriptor, 65536):
        data += more
    return data


class Reading:
    """Reads a pipe in a thread, from when it is started."""

    def __init__(self, descriptor):
        self._descriptor = descriptor
        self._thread = threading.Thread(target=self._read)
        self.data = b""
        self._thread.start()

    def _read(self):
        self.data = read_all(self._descriptor)

    async def until_end(self):
        """Wait for the end, and return all."""
        async with asyncio.timeout(10):
            await asyncio.to_thread(self._thread.join)
        return self.data


async def drained(lines):
    """Wait until nothing waits to be written any more."""
    async with asyncio.timeout(10):
        while lines.held:
            await asyncio.sleep(0.005)


async def test_lines_come_out_whole_and_in_order(pipe):
    """More than a pipe holds; the end of the block waits for the last one."""
    reader, writer = pipe
    reading = Reading(reader)
    sent = [b"%d %b" % (number, LINE) for number in range(5000)]
    async with lines_to(writer) as lines:
        for line in sent:
            lines.write(line)
    os.close(writer)

    assert await reading.until_end() == b"".join(sent)
    assert (lines.dropped, lines.held) == (0, 0)


async def test_a_few_lines_do_not_wait_for_more(pipe):
    """Whoever follows the log sees them soon."""
    reader, writer = pipe
    async with lines_to(writer) as lines, asyncio.timeout(5):
        lines.write(LINE)
        first = await asyncio.to_thread(os.read, reader, 1000)
        lines.write(LINE)
        lines.write(LINE)
        second = await asyncio.to_thread(os.read, reader, 1000)

    assert first == LINE
    assert second == LINE * 2


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_pipe_that_nobody_reads_loses_lines_and_holds_up_nothing(
    pipe, caplog, blocking
):
    """They are counted; once it is read, the rest comes whole, and so do new ones."""
    reader, writer = pipe
    os.set_blocking(writer, blocking)
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    async with lines_to(writer, max_held=10_000) as lines:
        for _ in range(1000):
            lines.write(LINE)
            await asyncio.sleep(0)  # the loop goes on
        lost = lines.dropped
        reading = Reading(reader)
        await drained(lines)
        lines.write(b"the end\n")
    os.close(writer)
    read = await reading.until_end()

    assert 1000 - 200 <= lost < 1000
    assert lines.dropped == lost
    assert read == LINE * (1000 - lost) + b"the end\n"
    messages = [record.getMessage() for record in caplog.records]
    assert sum(int(message.split()[0]) for message in messages) == lost
    assert len(messages) <= 2


async def test_a_reader_that_is_gone_is_told_of_once(pipe, caplog):
    """The lines are counted as lost, and that is said at the end."""
    reader, writer = pipe
    os.close(reader)
    async with lines_to(writer) as lines:
        for _ in range(5):
            lines.write(LINE * 10)
            await drained(lines)

    assert lines.dropped == 50
    assert [record.getMessage() for record in caplog.records] == [
        "the test's log cannot be written (Broken pipe)",
        "50 lines of the test's log were lost",
    ]


async def test_a_full_disk_is_told_of_once_and_lines_go_on_when_it_is_not(
    tmp_path, caplog
):
    """What was cut off spoils no other line; a limit on a file's size cuts alike."""
    path = tmp_path / "log"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with path.open("wb", buffering=0) as file:
        async with lines_to(file.fileno()) as lines:
            try:
                resource.setrlimit(resource.RLIMIT_FSIZE, (250, hard))
                for _ in range(3):
                    lines.write(LINE)
                    lines.write(LINE)
                    await drained(lines)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
                signal.signal(signal.SIGXFSZ, before)
            lines.write(b"room again\n")
            await drained(lines)

    assert path.read_bytes() == LINE * 2 + b"x" * 50 + b"\n" + b"room again\n"
    assert lines.dropped == 4
    assert [record.getMessage() for record in caplog.records] == [
        "the test's log cannot be written (File too large)",
        "4 lines of the test's log were lost",
    ]


async def test_an_end_that_nobody_reads_is_bounded(pipe, caplog):
    """The process must stop, whatever has become of its log."""
    caplog.set_level(logging.INFO)
    reader, writer = pipe
    async with asyncio.timeout(10), lines_to(writer) as lines:
        for _ in range(2000):
            lines.write(LINE)

    assert lines.held > 100_000
    assert f"{lines.held} bytes and 0 lines were lost" in caplog.text
    reading = Reading(reader)  # let the thread end
    await drained(lines)
    os.close(writer)
    await reading.until_end()


@given(sizes=st.lists(st.integers(1, 50)), most=st.integers(1, 60))
def test_pieces_are_whole_lines_as_many_as_fit(sizes, most):
    """Nothing is lost or divided; two pieces in a row would not fit into one."""
    lines = [b"x" * (size - 1) + b"\n" for size in sizes]

    made = list(pieces(lines, most))

    assert b"".join(made) == b"".join(lines)
    assert all(piece.endswith(b"\n") for piece in made)
    assert all(len(piece) <= max(most, 50) for piece in made)
    assert all(len(piece) <= most or piece.count(b"\n") == 1 for piece in made)
    assert all(
        len(a) + len(b.split(b"\n")[0]) + 1 > most for a, b in itertools.pairwise(made)
    )
