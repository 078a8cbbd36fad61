"""What every section of the suite is given: where, on which cores, for how long."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from peers import on_cpus

TOP = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Bench:
    """The setting of one section.

    Attributes:
        folder: temporary, the section's own; ended with it.
        proxy_cpus: the core that the proxy under test has alone (``on_cpus``).
        rest: the cores of all else; the section itself runs on them.
        rounds: how often each case is measured.
        seconds: length of the load of one round.
        tree: the source tree of reuse-proxy that is measured.
    """

    folder: Path
    proxy_cpus: set[int]
    rest: set[int]
    rounds: int
    seconds: int
    tree: Path

    def tell(self, text: str) -> None:
        """Say on standard error how it goes, so that what is printed can be piped."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    @contextlib.contextmanager
    def section(self, name: str) -> Iterator["Bench"]:
        """Give a section a folder of its own, so that names do not collide."""
        folder = self.folder / name
        folder.mkdir()
        # A server that gave up root's rights has to get through.
        folder.chmod(0o755)
        yield replace(self, folder=folder)


@contextlib.contextmanager
def setting(rounds: int, seconds: int, tree: Path = TOP) -> Iterator[Bench]:
    """Keep the last core for the proxy under test; run all else on the others."""
    cpus = sorted(os.sched_getaffinity(0))
    proxy_cpus, rest = {cpus[-1]}, set(cpus[:-1]) or set(cpus)
    with tempfile.TemporaryDirectory() as name, on_cpus(rest):
        Path(name).chmod(0o755)
        yield Bench(Path(name), proxy_cpus, rest, rounds, seconds, tree.resolve())
