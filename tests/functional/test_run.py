"""`reuse-proxy run` as a process: its command, its proxy, its report."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.programs import PROGRAMS, clean_environment, need
from tests.support.terminal import Terminal

# Its own loop is another matter; uvloop's would hand open files on to it.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

LOOP = str(PROGRAMS / "requests_loop.py")
PYTHON = sys.executable


@dataclass
class Done:
    """How it has ended, and what it has written."""

    code: int
    out: str
    err: str

    @property
    def own(self):
        """The sentences that it has said itself."""
        prefix = "reuse-proxy: "
        lines = self.err.splitlines()
        return [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]


@contextlib.asynccontextmanager
async def started(*arguments, program=("-m", "reuse_proxy"), **environment):
    """Start it in a session of its own, which has no terminal."""
    process = await asyncio.create_subprocess_exec(
        *(PYTHON, *program, "run", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=clean_environment() | {"LC_ALL": "C.UTF-8"} | environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            # With the command, which is in its group.
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def ended(process, typed=b""):
    """Wait for its end."""
    async with asyncio.timeout(30):
        out, err = await process.communicate(typed)
    return Done(process.returncode, out.decode(), err.decode())


async def run(*arguments, **options):
    """Run it to its end."""
    async with started(*arguments, **options) as process:
        return await ended(process)


def gone(folder):
    """Tell whether a folder is no more."""
    return not Path(folder.strip()).exists()


@pytest.fixture
async def secure(make_origin, authority):
    """The same with TLS."""
    return await make_origin(
        tls=authority.server("127.0.0.1", http2=False), name="127.0.0.1"
    )


@pytest.fixture
def trusting(authority):
    """The setting that has the proxy trust the origins, beside the system's roots."""
    return {"REUSE_PROXY_CA_FILE": str(authority.file)}


# What the command gets, and what is told of it...


async def test_a_command_that_reuses_nothing_needs_one_connection(local):
    """The report names it; what the command writes is its own."""
    done = await run("--", PYTHON, LOOP, local.url, "5")

    assert done.code == 0
    assert done.out == "hello\n" * 5
    assert local.accepted == 1
    assert "python-requests at 127.0.0.1" in done.err
    assert "5 requests over 5 connections" in done.err
    assert done.own == []


async def test_the_report_comes_after_all_of_the_command(local):
    """On standard error, whatever the command writes there."""
    done = await run(
        "sh", "-c", f"{need('curl')} -s {local.url} >&2; sleep 0.1; echo last >&2"
    )

    assert done.err.startswith("hellolast\n")
    assert done.out == ""


async def test_its_own_options_end_where_the_command_begins(local):
    """With two dashes or without; those of the command belong to it."""
    curl = need("curl")
    dashed = await run("--max-upstream", "1", "--", curl, "-s", "--http1.1", local.url)
    bare = await run("--max-upstream=1", curl, "-s", "--http1.1", local.url)
    inner = await run("sh", "-c", 'echo "$@"', "--", "--report", "--", "x")

    assert (dashed.code, dashed.out) == (0, "hello")
    assert (bare.code, bare.out) == (0, "hello")
    assert (inner.code, inner.out) == (0, "--report -- x\n")


async def test_the_command_reads_what_we_are_given():
    """Its standard input is ours."""
    async with started("--", "cat") as process:
        done = await ended(process, b"typed")

    assert done.out == "typed"


async def test_the_command_inherits_no_descriptor():
    """The fourth is the one that it reads the folder with."""
    closing = (
        "import os, sys; os.closerange(3, 4096);"
        "from reuse_proxy.cli import main; sys.exit(main())"
    )
    listing = "import os; print(os.listdir('/proc/self/fd'))"
    done = await run(PYTHON, "-c", listing, program=("-c", closing))

    assert done.out == "['0', '1', '2', '3']\n"


async def test_the_command_may_reach_any_port_in_a_tunnel(secure, authority):
    """Not only those of connect_ports; a tunnel counts as a request."""
    done = await run(*(need("curl"), "-s", "--cacert", str(authority.file), secure.url))

    assert (done.code, done.out) == (0, "hello")
    assert done.own == []
    assert secure.accepted == 1


async def test_what_its_user_has_set_stays(secure, authority, tmp_path):
    """In the environment, or in a file."""
    command = (need("curl"), "-s", "--cacert", str(authority.file), secure.url)
    config = tmp_path / "run.toml"
    config.write_text('connect_ports = "443"\n')

    by_variable = await run(*command, REUSE_PROXY_CONNECT_PORTS="443")
    by_file = await run("--config", str(config), *command)

    assert (by_variable.code, by_file.code) == (56, 56)
    assert secure.accepted == 0


async def test_warnings_are_told_and_a_proxy_that_is_passed_by(local):
    """Each in one line, and nothing else of ours."""
    done = await run(
        *(need("curl"), "-s", local.url),
        REUSE_PROXY_MAX_SOCKETS="10",
        REUSE_PROXY_MAX_PER_ORIGIN="20",
        http_proxy="http://user:secret@127.0.0.1:9",
    )

    assert done.out == "hello"
    assert len(done.own) == 2
    assert "max_per_origin" in done.own[0]
    assert done.own[1].startswith("http_proxy=http://...@127.0.0.1:9 is not used")


async def test_a_proxy_that_is_the_parent_is_not_passed_by(local):
    """So nothing is told of it."""
    parent = "http://user:secret@127.0.0.1:9"
    done = await run(
        *(need("curl"), "-s", local.url),
        REUSE_PROXY_PARENT_PROXY=parent,
        http_proxy=parent,
    )

    assert done.out == "hello"
    assert done.own == []


async def test_what_a_command_leaves_running_is_cut_off(local):
    """It does not hold up the end, which takes about a second."""
    url = f"{local.url}/hold"
    leaving = f"{need('curl')} -s {url} >/dev/null 2>&1 & read line"
    async with started("sh", "-c", leaving) as process:
        await local.until(lambda: bool(local.requests))
        done = await ended(process, b"\n")

    assert done.code == 0
    assert "1 request over 1 connection" in done.err or "CLIENTS" in done.err


# How it ends...


@pytest.mark.parametrize("code", [0, 3, 77])
async def test_the_code_is_the_commands(code):
    """Whatever it is."""
    done = await run("sh", "-c", f"exit {code}")

    assert done.code == code


async def test_a_command_that_a_signal_ends_is_told_as_by_a_shell():
    """128 and its number, with a report."""
    done = await run("sh", "-c", "kill -9 $$")

    assert done.code == 137
    assert "No request" in done.err


@pytest.mark.parametrize(
    ("command", "code"), [("no-such-command", 127), ("/", 126), ("/etc/passwd", 126)]
)
async def test_what_cannot_be_run_is_one_sentence(command, code):
    """There is nothing to report."""
    done = await run("--", command)

    assert done.code == code
    assert done.err.count("\n") == len(done.own) == 1
    assert command in done.own[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "needs a command"),
        (["--"], "needs a command"),
        (["--max-upstream", "-1", "true"], "--max-upstream"),
        (["--max-upstream", "x", "true"], "x is not a number of connections"),
        (["--min-reuse", "90", "true"], "90 is not a share"),
        (["--listen", "127.0.0.1:0", "true"], "unknown argument --listen"),
        (["--config", "/no/such/file", "true"], "/no/such/file"),
    ],
)
async def test_a_wrong_call_is_one_sentence(arguments, words):
    """Exit code 2, and nothing is run."""
    done = await run(*arguments)

    assert done.code == 2
    assert done.err.count("\n") == len(done.own) == 1
    assert words in done.own[0]


WAITING = """
import signal, sys
signal.signal(int(sys.argv[1]), lambda number, _: print(number, flush=True))
print("ready", flush=True)
sys.stdin.readline()
sys.exit(5)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_is_passed_on_and_survived(number):
    """The command decides; then there is a report all the same."""
    async with started(PYTHON, "-c", WAITING, str(int(number))) as process:
        assert await process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        told = await process.stdout.readline()
        done = await ended(process, b"\n")

    assert told == b"%d\n" % number
    assert done.code == 5
    assert "No request" in done.err


async def test_a_signal_may_end_the_command():
    """The usual end."""
    async with started("cat") as process:
        process.stdin.write(b"ready\n")
        await process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        await process.wait()
        done = await ended(process)

    assert done.code == 143
    assert "No request" in done.err


CALLED = "import sys; from reuse_proxy.cli import main; sys.exit(main())"


def interrupted_by_key(number):
    """Press Ctrl-C, then enter; return the code and all that was written."""
    terminal = Terminal(CALLED, "run", PYTHON, "-c", WAITING, str(number))
    with contextlib.closing(terminal):
        terminal.until("ready\r\n")
        terminal.type(b"\x03")
        terminal.until(f"{number}\r\n")
        terminal.type(b"\n")
        return terminal.end(), terminal.text


async def test_a_key_on_a_terminal_reaches_the_command_once():
    """The terminal has sent it to the command; we live on, and report."""
    number = int(signal.SIGINT)

    code, text = await asyncio.to_thread(interrupted_by_key, number)

    assert code == 5
    assert text.count(f"\n{number}\r\n") == 1
    assert "No request" in text


EARLY = """
import os, signal, sys
from reuse_proxy.ca import store
create = store.create
def interrupted(folder, **options):
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    return create(folder, **options)
store.create = interrupted
from reuse_proxy.cli import main
sys.exit(main())
"""


async def test_a_signal_before_the_command_ends_it_all(tmp_path):
    """The command is not run, and the CA is gone."""
    mark = tmp_path / "mark"
    done = await run("--https", "touch", str(mark), program=("-c", EARLY))

    assert done.code == 143
    assert done.err == ""
    assert not mark.exists()
    assert done.out.startswith("/")
    assert gone(done.out)


# HTTPS...


async def test_https_of_requests_is_pooled(secure, trusting):
    """Ten processes' worth of connections become one, and nothing stays of the CA."""
    done = await run("--https", PYTHON, LOOP, secure.url, "10", **trusting)

    assert (done.code, done.out) == (0, "hello\n" * 10), done.err
    assert secure.accepted == 1
    assert done.own == []


async def test_https_of_curl_is_pooled(secure, trusting):
    """It reads another variable; each run is a connection to us."""
    curl = f"{need('curl')} -sS {secure.url}"
    loop = f'for i in 1 2 3 4 5 6 7 8 9 10; do {curl}; done; echo " $CURL_CA_BUNDLE"'
    done = await run("--https", "sh", "-c", loop, **trusting)

    body, _, bundle = done.out.strip().partition(" ")
    assert (done.code, body) == (0, "hello" * 10), done.err
    assert secure.accepted == 1
    folder, _, name = bundle.rpartition("/")
    assert name == "bundle.pem"
    assert gone(folder)


async def test_the_ca_is_gone_after_a_signal_too():
    """The command sees it while it runs."""
    waiting = 'test -f "$SSL_CERT_FILE" && echo "$SSL_CERT_FILE"; exec cat'
    async with started("--https", "sh", "-c", waiting) as process:
        bundle = (await process.stdout.readline()).decode().strip()
        process.send_signal(signal.SIGTERM)
        await process.wait()
        done = await ended(process)

    folder, _, name = bundle.rpartition("/")
    assert name == "bundle.pem"
    assert done.code == 143
    assert gone(folder)


async def test_the_ca_is_gone_if_the_command_cannot_be_run(tmp_path):
    """And if a setting is wrong."""
    unknown = await run("--https", "no-such-command", TMPDIR=str(tmp_path))
    wrong = await run("--https", "true", TMPDIR=str(tmp_path), REUSE_PROXY_LISTN="x")

    assert (unknown.code, wrong.code) == (127, 2)
    assert list(tmp_path.iterdir()) == []


async def test_origins_are_still_verified(secure):
    """By our own roots, which do not know this one's authority."""
    done = await run("--https", need("curl"), "-s", "-w", "%{http_code}", secure.url)

    assert done.out.endswith("502")


async def test_a_client_that_does_not_trust_the_ca_is_told_so(secure, trusting):
    """It has connected, but asked nothing."""
    command = (need("curl"), "-s", "--cacert", "/etc/ssl/certs/ca-certificates.crt")
    done = await run("--https", *command, secure.url, **trusting)

    assert done.code == 60
    assert "may not trust the CA of --https" in done.own[-1]


async def test_without_roots_of_the_system_there_is_one_warning(local, tmp_path):
    """The CA alone will do."""
    empty = tmp_path / "empty.pem"
    empty.touch()
    done = await run("--https", need("curl"), "-s", local.url, SSL_CERT_FILE=str(empty))

    assert (done.code, done.out) == (0, "hello")
    assert len(done.own) == 1
    assert "roots were not found" in done.own[0]


# Limits...


async def test_limits_that_are_kept_are_not_mentioned(local):
    """Three requests on one connection."""
    urls = [f"{local.url}/{name}" for name in "abc"]
    done = await run(
        *("--min-reuse", "66%", "--max-upstream", "1", need("curl"), "-s", *urls)
    )

    assert (done.code, done.out) == (0, "hello" * 3)
    assert done.own == []


async def test_a_leak_is_found_behind_the_pool(local):
    """The origin has seen one connection; the client has opened four."""
    done = await run("--min-reuse", "0.5", PYTHON, LOOP, local.url, "4")

    assert done.code == 3
    assert local.accepted == 1
    assert done.own == [
        (
            "The command reused its connections for 0% of 4 requests, less than"
            " --min-reuse 50%; the worst client is python-requests at 127.0.0.1:"
            " 4 connections for 4 requests."
        )
    ]


async def test_tunnels_break_both_limits(secure, authority):
    """Each is a connection of the client's and one of ours."""
    curl = f"{need('curl')} -s --cacert {authority.file} {secure.url}"
    done = await run(
        *("--min-reuse", "50%", "--max-upstream", "1"),
        *("sh", "-c", f"{curl}; {curl}; {curl}"),
    )

    assert done.code == 3
    assert secure.accepted == 3
    assert done.own[0].startswith("The command needed 3 connections to origins, more")
    assert done.own[1].startswith("The command reused its connections for 0% of 3 req")


async def test_the_commands_own_failure_comes_first(local):
    """The sentence is there all the same."""
    command = f"{need('curl')} -s {local.url}; exit 9"
    done = await run("--max-upstream", "0", "sh", "-c", command)

    assert done.code == 9
    assert len(done.own) == 1
    assert "--max-upstream 0" in done.own[0]


async def test_a_limit_that_cannot_be_judged_is_not_kept():
    """Else a command that goes around the proxy would pass."""
    done = await run("--min-reuse", "0", "true")

    assert done.code == 3
    assert "--min-reuse 0% cannot be judged" in done.own[-1]


# No request...


async def test_no_proxy_is_named_as_the_reason(local):
    """Its value is what somebody has to change."""
    done = await run(need("curl"), "-s", local.url, NO_PROXY="127.0.0.1")

    assert (done.code, done.out) == (0, "hello")
    assert done.own[0].startswith("The command made no request through the proxy.")
    assert done.own[1].startswith("NO_PROXY=127.0.0.1:")


async def test_a_command_that_asked_nothing_is_told_why_that_may_be():
    """By what it is; its code is its own."""
    done = await run(PYTHON, "-c", "")

    assert done.code == 0
    assert "trust_env=True" in done.own[1]


# The report as a file...


async def test_a_report_is_written_in_the_form_of_its_suffix(local, tmp_path):
    """JSON, Markdown, or what stands on standard error."""
    curl = need("curl")
    files = [tmp_path / f"report.{suffix}" for suffix in ("json", "md", "txt")]
    done = [await run("--report", str(file), curl, "-s", local.url) for file in files]

    report = json.loads(files[0].read_text())
    assert [each.code for each in done] == [0, 0, 0]
    assert report["totals"]["requests"] == 1
    assert report["clients"][0]["client"] == "curl at 127.0.0.1"
    assert files[1].read_text().startswith("#")
    assert files[2].read_text() == done[2].err


async def test_a_report_goes_to_standard_output_if_asked(local, tmp_path):
    """Behind what the command has written there; into a file as well."""
    async with started("--report", "/dev/stdout", need("curl"), "-s", local.url) as it:
        piped = await ended(it)
    file = tmp_path / "out"
    shell = f'exec "$0" "$@" >{file}'
    command = (PYTHON, "-m", "reuse_proxy", "run", "--report", "/dev/stdout")
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", shell, *command, need("curl"), "-s", local.url),
        stderr=asyncio.subprocess.PIPE,
        env=clean_environment(),
    )
    _, err = await process.communicate()

    assert piped.out == "hello" + piped.err
    assert file.read_text() == "hello" + err.decode()


async def test_a_report_goes_to_a_descriptor(local, tmp_path):
    """As a shell opens one."""
    file = tmp_path / "report"
    shell = f'"$0" -m reuse_proxy run --report /dev/fd/3 "$@" 3>{file}'
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", shell, PYTHON, need("curl"), "-s", local.url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=clean_environment(),
    )
    out, err = await process.communicate()

    assert process.returncode == 0
    assert out == b"hello"
    assert file.read_bytes() == err


async def test_a_file_that_cannot_be_is_told_before_the_command_runs(tmp_path):
    """It may take an hour."""
    mark = tmp_path / "mark"
    done = await run("--report", str(tmp_path / "no" / "x.json"), "touch", str(mark))

    assert done.code == 2
    assert len(done.own) == done.err.count("\n") == 1
    assert not mark.exists()


@pytest.mark.parametrize(("end", "code"), [("", 2), ("; exit 9", 9)])
async def test_a_file_that_cannot_be_written_afterwards_is_told(tmp_path, end, code):
    """Unless the command itself has failed, that is the end."""
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "report.json"
    done = await run("--report", str(file), "sh", "-c", f"rmdir {folder}{end}")

    assert done.code == code
    assert "cannot be written" in done.own[-1]


async def test_nobody_needs_to_read_the_report():
    """The command's code is still told."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", 'exec 4>&1; { "$@" 2>&1; echo $? >&4; } | true', "sh"),
        *(PYTHON, "-m", "reuse_proxy", "run", "sh", "-c", "sleep 0.2; exit 7"),
        stdout=asyncio.subprocess.PIPE,
        env=clean_environment(),
    )
    out, _ = await process.communicate()

    assert out == b"7\n"
