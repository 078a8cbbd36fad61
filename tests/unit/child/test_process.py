"""The command as a process: found or not, signalled, ended; with real ones."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reuse_proxy.child.process import (
    CommandNotFoundError,
    CommandNotRunnableError,
    EndedEarlyError,
    Relay,
    exit_code,
)
from tests.support.terminal import Terminal

# Prints each signal that it gets, and ends with its standard input.
TELLING = """
import signal, sys
for number in map(int, sys.argv[1:]):
    signal.signal(number, lambda number, _: print(number, flush=True))
print("ready", flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def streams():
    """Take the standard streams of a command: what it writes, and what it reads.

    Not a fixture: pytest takes its own streams anew for each phase of a test.
    """
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()
    kept = os.dup(0), os.dup(1)
    os.dup2(theirs_in, 0)
    os.dup2(theirs_out, 1)
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        with os.fdopen(ours_in, "r") as told, os.fdopen(ours_out, "w") as typed:
            yield told, typed
    finally:
        for number, old in enumerate(kept):
            os.dup2(old, number)
            os.close(old)


def run(*command, **environment):
    """Start a command and wait for it."""
    with Relay() as relay:
        process = relay.start(command, {**os.environ, **environment})
        return exit_code(process.wait())


@pytest.fixture
def script(tmp_path):
    """Make a file."""

    def make(content, mode=0o755, name="script"):
        path = tmp_path / name
        path.write_text(content)
        path.chmod(mode)
        return str(path)

    return make


@pytest.mark.parametrize("code", [0, 1, 77, 255])
def test_the_code_of_a_command_is_returned(code):
    """Whatever it is."""
    assert run("sh", "-c", f"exit {code}") == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGPIPE])
def test_a_command_that_a_signal_ends_is_told_as_by_a_shell(number):
    """128 and the signal's number; SIGPIPE ends it, which Python itself ignores."""
    assert run("sh", "-c", f"kill -{int(number)} $$") == 128 + number


def test_a_command_gets_the_environment():
    """And no other."""
    assert run("sh", "-c", 'test "$WORD" = x', WORD="x") == 0


def test_a_command_inherits_what_was_handed_to_us_and_nothing_else(tmp_path):
    """Such as the job server of a make that we run under; ours are closed."""
    listing = "import os; print(*os.listdir('/proc/self/fd'))"
    with (tmp_path / "a").open("wb") as handed, (tmp_path / "b").open("wb") as own:
        os.set_inheritable(handed.fileno(), True)  # noqa: FBT003 - its name
        with streams() as (told, _):
            run(sys.executable, "-c", listing)
            numbers = set(map(int, told.readline().split()))

        assert handed.fileno() in numbers
        assert own.fileno() not in numbers


def test_a_command_has_the_signals_of_a_fresh_program():
    """None blocked or caught; none ignored but what whoever started us ignores."""
    with streams() as (told, _):
        run("sed", "-n", "/^Sig[BIC]/p", "/proc/self/status")
        lines = [told.readline() for _ in range(3)]

    inherited = masks(Path("/proc/self/status").read_text("ascii").splitlines())
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python's own doing
        assert inherited["SigIgn:"] & 1 << (number - 1)
        inherited["SigIgn:"] &= ~(1 << (number - 1))
    told_of = masks(lines)
    assert told_of == {"SigBlk:": 0, "SigIgn:": inherited["SigIgn:"], "SigCgt:": 0}
    assert not told_of["SigIgn:"] & (1 << 31) - 1 & ~(1 << (signal.SIGHUP - 1))


def masks(lines):
    """Read the masks of signals in lines of /proc/PID/status."""
    pairs = (line.split() for line in lines)
    return {
        name: int(mask, 16)
        for name, mask, *_ in (pair for pair in pairs if len(pair) > 1)
        if name in {"SigBlk:", "SigIgn:", "SigCgt:"}
    }


def test_a_signal_that_was_ignored_stays_so():
    """As nohup wants it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        code = run("sh", "-c", "kill -HUP $$; exit 7")
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    assert code == 7


@pytest.mark.parametrize(
    "name", ["no-such-command", "/no/such/command", "/etc/passwd/x"]
)
def test_what_does_not_exist_is_127(name):
    """The sentence names it."""
    with pytest.raises(CommandNotFoundError, match=f"no command {name}") as caught:
        run(name)
    assert caught.value.exit_code == 127


def test_a_script_whose_interpreter_is_missing_is_127(script):
    """The sentence says that it is not the script."""
    with pytest.raises(CommandNotFoundError, match=r"interpreter .* is missing"):
        run(script("#!/no/such/interpreter\n"))


def test_what_cannot_be_run_is_126(script, tmp_path):
    """No permission, no known format, a folder."""
    for name in (script("x", 0o644, "plain"), script("x", name="odd"), str(tmp_path)):
        with pytest.raises(CommandNotRunnableError, match=name) as caught:
            run(name)
        assert caught.value.exit_code == 126


def test_too_many_arguments_are_126():
    """The system's own limit."""
    with pytest.raises(CommandNotRunnableError, match="too long"):
        run("true", "x" * 200_000)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]
)
def test_a_signal_is_passed_on_once(number):
    """We live on; whoever had handled it before does so again."""
    before = signal.getsignal(number)
    command = [sys.executable, "-c", TELLING, str(int(number))]
    with streams() as (told, typed), Relay() as relay:
        process = relay.start(command, os.environ)
        ready = told.readline()
        os.kill(os.getpid(), number)
        line = told.readline()
        typed.write("\n")
        typed.flush()
        code = process.wait()

    assert ready == "ready\n"
    assert line == f"{int(number)}\n"
    assert code == 0
    assert signal.getsignal(number) == before


def test_a_signal_for_a_command_that_has_ended_is_nobodys():
    """It is not sent to whoever has its process id now."""
    with Relay() as relay:
        process = relay.start(["true"], os.environ)
        process.wait()
        os.kill(os.getpid(), signal.SIGTERM)

    assert process.returncode == 0


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]
)
def test_a_signal_before_the_command_ends_us_in_order(tmp_path, number):
    """The command is not started; the code is as if it had been."""
    with Relay() as relay:
        os.kill(os.getpid(), number)
        with pytest.raises(EndedEarlyError) as caught:
            relay.start(["touch", str(tmp_path / "ran")], os.environ)

    assert caught.value.exit_code == 128 + number
    assert list(tmp_path.iterdir()) == []


def test_a_signal_before_the_command_that_ends_nobody_is_passed_on_later():
    """SIGUSR1 ends a program that does not know it."""
    with Relay() as relay:
        os.kill(os.getpid(), signal.SIGUSR1)
        process = relay.start(["sleep", "50"], os.environ)
        code = exit_code(process.wait())

    assert code == 128 + signal.SIGUSR1


def test_a_relay_tells_its_state():
    """For whoever debugs it."""
    with Relay() as relay:
        idle = repr(relay)
        process = relay.start(["true"], os.environ)
        process.wait()

    assert idle == "<Relay to None, early []>"
    assert repr(relay) == f"<Relay to {process.pid}, early []>"


# On a terminal: a process of its own session, which the terminal controls...

RELAYING = f"""
import os, sys
from reuse_proxy.child.process import Relay, exit_code
with Relay() as relay:
    process = relay.start([sys.executable, "-c", {TELLING!r}, *sys.argv[1:]], os.environ)
    code = exit_code(process.wait())
sys.exit(code)
"""

# A group of its own, which the terminal does not know, as of a job in the background;
# it may not read the terminal, so it is given something else.
IN_BACKGROUND = f"""
import os, sys
ours, leaders = os.pipe()
if pid := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
os.setpgid(0, 0)
os.close(leaders)
os.dup2(ours, 0)
print("pid", os.getpid(), flush=True)
{RELAYING}
"""


@pytest.fixture
def terminal():
    """Start relays on terminals."""
    made = []

    def make(*numbers, program=RELAYING):
        made.append(Terminal(program, *(str(int(number)) for number in numbers)))
        made[-1].until("ready\r\n")
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize(
    ("key", "number"), [(b"\x03", signal.SIGINT), (b"\x1c", signal.SIGQUIT)]
)
def test_a_key_reaches_the_command_once(terminal, key, number):
    """The terminal has sent it to the command already; we live on."""
    typed = terminal(number, signal.SIGUSR1)

    typed.type(key)
    typed.until(f"{int(number)}\r\n")
    # What had been passed on would have arrived before this.
    os.kill(typed.process.pid, signal.SIGUSR1)
    typed.until(f"{int(signal.SIGUSR1)}\r\n")
    typed.type(b"\n")
    code = typed.end()

    assert typed.text.count(f"{int(number)}\r\n") == 1
    assert code == 0


def test_a_key_ends_a_command_that_does_not_know_it(terminal):
    """And its code is told."""
    typed = terminal()

    typed.type(b"\x03")

    assert typed.end() == 128 + signal.SIGINT


def test_other_signals_are_passed_on_from_a_terminal_too(terminal):
    """No key sends SIGTERM."""
    typed = terminal(signal.SIGTERM)

    os.kill(typed.process.pid, signal.SIGTERM)
    typed.until(f"{int(signal.SIGTERM)}\r\n")
    typed.type(b"\n")

    assert typed.end() == 0


def test_in_the_background_of_a_terminal_sigint_is_passed_on(terminal):
    """No key reaches a job there, so somebody has sent it to us alone."""
    job = terminal(signal.SIGINT, program=IN_BACKGROUND)
    pid = int(job.text.split()[1])

    os.kill(pid, signal.SIGINT)
    job.until(f"{int(signal.SIGINT)}\r\n")
    os.kill(pid, signal.SIGTERM)

    assert job.end() == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_without_a_terminal_sigint_is_passed_on(number):
    """A session of its own has none."""
    process = subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-c", RELAYING, str(int(number))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    told = process.stdout.readline()
    process.communicate("\n")

    assert told == f"{int(number)}\n"
    assert process.returncode == 0
