"""This program as a process: how a shell calls it, and what it must have open."""

import os
import shutil
import sys
from pathlib import Path
from shlex import quote
from typing import Final

_NAME: Final = "reuse-proxy"


def command() -> str:
    """Return what to type in a shell in order to run this program."""
    if shutil.which(_NAME):
        return _NAME
    called = Path(sys.argv[0]).absolute()
    if called.name == _NAME and called.is_file():
        return quote(str(called))
    return f"{quote(sys.executable)} -m reuse_proxy"


def occupy_standard_streams() -> None:
    """Open something in the place of standard streams that are closed.

    Else sockets get their numbers, which libuv refuses to close: it aborts.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
