"""How a shell calls this program, for the commands that sentences advise."""

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
