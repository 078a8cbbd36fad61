"""`make bench-revisions BASE=REV`: what a change costs, in CPU per request.

The proxy of this tree beside that of another revision, and beside this one without
look-ups of processes; rounds are interleaved, and all take the same load on one core.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from load import CLIENTS, Load
from measure import FailedError, Origin, Sample
from peers import Server, UnavailableError, nginx, on_cpus, program, reuse_proxy_of
from setting import TOP, Bench, setting

_BASE = "base"


def main() -> int:
    """Measure and print, with ratios to the base."""
    options = _arguments()
    try:
        _compare(options.base, options.rounds, options.seconds)
    except (UnavailableError, FailedError, subprocess.CalledProcessError) as exc:
        sys.stderr.write(f"{exc}; nothing was measured\n")
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="CPU per request, by revision.")
    parser.add_argument("base", nargs="?", default="HEAD", help="revision to compare")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each load")
    parser.add_argument("--seconds", type=int, default=2, help="of each round")
    return parser.parse_args()


def _compare(base: str, rounds: int, seconds: int) -> None:
    with contextlib.ExitStack() as stack:
        bench = stack.enter_context(setting(rounds, seconds))
        folder = bench.folder
        tree = stack.enter_context(_checked_out(base, folder / "tree"))
        origin = stack.enter_context(nginx(folder))
        load = Load(folder, Origin(origin))
        servers = []
        for name, path, settings in (
            (_BASE, tree, ()),
            ("this", TOP, ()),
            ("this, no look-ups", TOP, ("--no-client-processes",)),
        ):
            with on_cpus(bench.proxy_cpus):
                starting = reuse_proxy_of(path, name, folder, origin.port, *settings)
                servers.append(stack.enter_context(starting))
            load.keep_alive(servers[-1], 1)
        _print(_rounds(bench, load, servers))


@contextlib.contextmanager
def _checked_out(revision: str, folder: Path) -> Iterator[Path]:
    git = [program("git"), "-C", str(TOP), "worktree"]
    subprocess.run(  # noqa: S603 - found on PATH, with arguments of ours
        [*git, "add", "--quiet", "--detach", str(folder), revision], check=True
    )
    try:
        yield folder
    finally:
        subprocess.run(  # noqa: S603 - likewise
            [*git, "remove", "--force", str(folder)], check=True
        )


def _rounds(
    bench: Bench, load: Load, servers: list[Server]
) -> dict[tuple[str, str], list[Sample]]:
    samples: dict[tuple[str, str], list[Sample]] = {}
    for number in range(bench.rounds):
        # Whoever comes first has the quieter machine: take turns.
        turn = number % len(servers)
        for name, run in (
            (f"{CLIENTS} keep-alive clients", load.keep_alive),
            ("new connection per request", load.connection_per_request),
        ):
            for server in servers[turn:] + servers[:turn]:
                samples.setdefault((name, server.name), []).append(
                    run(server, bench.seconds)
                )
    return samples


def _print(samples: dict[tuple[str, str], list[Sample]]) -> None:
    for (name, server), group in sorted(samples.items()):
        cells = []
        for of, title in ((statistics.median, "median"), (min, "lowest")):
            base = of(sample.cpu for sample in samples[name, _BASE])
            cpu = of(sample.cpu for sample in group)
            cells.append(f"{title} {cpu * 1e6:6.1f} us/request, {cpu / base:.3f}x")
        sys.stdout.write(f"{name:27}  {server:17}  {'  '.join(cells)}\n")


if __name__ == "__main__":
    sys.exit(main())
