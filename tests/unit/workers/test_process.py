"""How a process is started by the command that started this one."""

import pytest

from reuse_proxy.workers.process import own_command


@pytest.mark.parametrize(
    ("original", "arguments", "command"),
    [
        (
            ["python", "-m", "reuse_proxy", "serve", "--workers", "2"],
            ["/x/reuse_proxy/__main__.py", "serve", "--workers", "2"],
            ["/bin/python3", "-m", "reuse_proxy"],
        ),
        (
            ["/bin/python3", "/bin/reuse-proxy", "serve"],
            ["/bin/reuse-proxy", "serve"],
            ["/bin/python3", "/bin/reuse-proxy"],
        ),
        (
            ["python", "-X", "dev", "-c", "main()", "serve"],
            ["-c", "serve"],
            ["/bin/python3", "-X", "dev", "-c", "main()"],
        ),
        (["python", "-m", "reuse_proxy"], ["x"], ["/bin/python3", "-m", "reuse_proxy"]),
    ],
)
def test_a_worker_is_the_same_program_by_the_same_interpreter(
    original, arguments, command
):
    """A module, a script, a text; with the interpreter's own options."""
    assert own_command("/bin/python3", original, arguments) == command
