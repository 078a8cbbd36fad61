"""The image itself, built by buildah on a base made here, and run as an engine would.

deploy/docker/check_image.py does it, for people as for this test.  Half of its minute is
the making of a Debian.
"""

import os
import re
import subprocess
import sys

import pytest

from tests.support.dockerfile import TOP
from tests.support.programs import need

MAX_MB = 120


@pytest.mark.timeout(600)
def test_the_image_is_small_and_lives_on_a_root_that_cannot_be_written():
    """It forwards, is healthy as its own check says, and stops when told to."""
    for program in ("buildah", "mmdebstrap"):
        need(program)
    if os.geteuid() != 0:
        pytest.skip("only root can make a Debian and change into it")

    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, str(TOP / "deploy/docker/check_image.py")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    size = re.match(r"([\d.]+) MB, ", done.stdout)
    assert size is not None
    assert float(size[1]) < MAX_MB
