"""`reuse-proxy report`: what is printed, and one sentence for whatever goes wrong."""

import asyncio
import contextlib
import json
import re
import threading

import pytest

from reuse_proxy.cli import main
from reuse_proxy.commands import report as command
from reuse_proxy.report.document import VERSION
from tests.support.reports import sample


def response(body, status="200 OK"):
    """A whole response."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close"
    return f"{head}\r\n\r\n".encode() + body


class Listener:
    """Gives every connection the same bytes, on a thread and a loop of its own."""

    def __init__(self, answer, path=None):
        self._answer = answer
        self._path = path
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.heads = []

    async def _serve(self):
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        if self._path is None:
            server = await asyncio.start_server(self._reply, "127.0.0.1", 0)
            host, port = server.sockets[0].getsockname()
            self.address = f"{host}:{port}"
        else:
            server = await asyncio.start_unix_server(self._reply, self._path)
            self.address = f"unix:{self._path}"
        async with server:
            self._ready.set()
            await self._end.wait()

    async def _reply(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self._answer)
            await writer.drain()
            if not self._answer:
                await self._end.wait()
        writer.close()

    def __enter__(self):
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()


@pytest.fixture
def listening():
    """Start listeners."""
    with contextlib.ExitStack() as stack:
        yield lambda *given: stack.enter_context(Listener(*given))


@pytest.fixture
def proxied(monkeypatch):
    """Set a proxy for everything, as it is where reuse-proxy is used."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)


def served(document=None):
    """A response with a report."""
    return response(json.dumps(document or sample()).encode())


@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize(
    ("flags", "begin"),
    [
        ([], "5 clients made 2,310 requests"),
        (["--markdown"], "## Connection reuse\n"),
        (["--json"], '{\n  "version": 1,\n'),
    ],
)
def test_a_report_is_printed_in_each_form(listening, capsys, flags, begin):
    """Fetched past any proxy of the environment, which may be reuse-proxy itself."""
    listener = listening(served())

    assert main(["report", "--admin", listener.address, *flags]) == 0
    assert capsys.readouterr().out.startswith(begin)
    assert listener.heads[0].startswith(b"GET /api/v1/report HTTP/1.1\r\n")


def test_json_is_the_document_with_what_a_newer_proxy_adds(listening, capsys):
    """For machines, which may know more than this program."""
    document = {**sample(), "more": [1]}
    listener = listening(served(document))

    assert main(["report", "--json", "--admin", f"http://{listener.address}/"]) == 0
    assert json.loads(capsys.readouterr().out) == document


def test_the_listener_may_be_a_unix_socket(listening, capsys, tmp_path):
    """As the setting `admin` may."""
    listener = listening(served(), str(tmp_path / "admin"))

    assert main(["report", "--admin", listener.address]) == 0
    assert "CLIENTS THAT LEAK" in capsys.readouterr().out
    assert b"\r\nHost: localhost\r\n" in listener.heads[0]


def test_the_listener_may_be_named_in_the_environment(listening, monkeypatch, capsys):
    """By the variable of the setting."""
    monkeypatch.setenv("REUSE_PROXY_ADMIN", listening(served()).address)

    assert main(["report"]) == 0
    assert "CLIENTS THAT LEAK" in capsys.readouterr().out


def test_a_listener_on_all_addresses_is_called_by_loopback(listening, capsys):
    """It refuses every other name to its own machine."""
    listener = listening(served())
    port = listener.address.rpartition(":")[2]

    assert main(["report", "--admin", f"0.0.0.0:{port}"]) == 0
    assert "CLIENTS THAT LEAK" in capsys.readouterr().out
    assert f"\r\nHost: 127.0.0.1:{port}\r\n".encode() in listener.heads[0]


def failure(listener, capsys):
    """Ask for a report in vain; return the sentence."""
    assert main(["report", "--admin", listener]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("reuse-proxy: ")
    assert printed.err.count("\n") == 1
    return printed.err


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (response(b"not here", "404 Not Found"), "it answers 404"),
        (response(b"moved", "302 Found"), "it answers 302"),
        (response(b"<html>"), "its answer is not JSON"),
        (response(b"[" * 100_000), "its answer is not JSON"),
        (response(b"{}"), "its answer is not a report"),
        (response(b'{"version": 1}'), "its answer is not a report"),
        (served({**sample(), "clients": [{}]}), "its answer is not a report"),
        (served({**sample(), "seconds": True}), "its answer is not a report"),
        (served({**sample(), "seconds": float("nan")}), "its answer is not JSON"),
        (served({**sample(), "seconds": 10**400}), "its answer is not a report"),
        (served({**sample(), "version": VERSION + 1}), f"version {VERSION + 1}"),
        (response(b"only loopback\n", "403 Forbidden"), "refuses to report: only loop"),
        (response(b"\x1b[2J", "403 Forbidden"), r"refuses to report: \x1b[2J"),
        (b"SSH-2.0-OpenSSH_9\r\n", "its answer is not HTTP, or not whole"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", "or not whole"),
    ],
)
def test_whatever_else_answers_is_told_in_one_sentence(
    listening, capsys, answer, words
):
    """No traceback, and nothing that steers a terminal."""
    listener = listening(answer)

    assert words in failure(listener.address, capsys)


def test_a_listener_that_says_nothing_is_not_waited_for(listening, capsys, monkeypatch):
    """Within the limit of time."""
    monkeypatch.setattr(command, "TIMEOUT_S", 0.2)

    assert "no answer within 0 seconds" in failure(listening(b"").address, capsys)


def test_a_huge_answer_is_not_kept(listening, capsys, monkeypatch):
    """Whatever pretends to be us cannot fill the memory."""
    monkeypatch.setattr(command, "MAX_BYTES", 1 << 20)
    listener = listening(response(b" " * (3 << 20)))

    assert "its answer exceeds 1 MiB" in failure(listener.address, capsys)


def test_nothing_that_listens_is_told_with_what_to_do(listening, capsys):
    """Start one, or name it."""
    with Listener(b"") as gone:
        pass

    sentence = failure(gone.address, capsys)

    assert "connection refused; start a proxy with" in sentence
    assert "--admin" in sentence


@pytest.mark.parametrize(
    ("admin", "words"),
    [
        ("a..b:4129", "that is no name of a host"),
        ("unix:no-such-socket", "no such file or directory"),
    ],
)
def test_what_cannot_be_reached_is_told_with_what_to_do(admin, words, capsys):
    """Neither is looked up or opened for long."""
    sentence = failure(admin, capsys)

    assert sentence.startswith(f"reuse-proxy: No report from {admin}: {words}; start")


@pytest.mark.parametrize(
    "admin", ["", "nonsense", "https://127.0.0.1:1", "127.0.0.1:99999", "http://a:1/x"]
)
def test_an_address_that_is_none_is_told_with_its_source(admin, capsys):
    """And with what one looks like."""
    sentence = failure(admin, capsys)

    assert re.search(r"\(from --admin\) .* give host:port", sentence)


def test_only_one_form_can_be_asked_for(capsys):
    """They exclude each other."""
    with pytest.raises(SystemExit) as ended:
        main(["report", "--json", "--markdown"])

    assert ended.value.code == 2
    assert "not allowed with" in capsys.readouterr().err
