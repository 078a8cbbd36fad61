"""A real Prometheus on the shipped files, sixty times as fast: an hour is a minute."""

import json
import re
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.support.programs import need

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
METRICS = FOLDER.parents[1] / "docs" / "metrics.md"
SPEED = 60
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000}
# Windows, offsets and resolutions of expressions; intervals and delays of files.
_DURATION = re.compile(r"(?<=\[|:)(\d+)([smh])(?=\]|:)|(?<=offset )(\d+)([smh])")
_KEY = re.compile(r"(?<=for: |val: )(\d+)([smh])$", re.MULTILINE)
_LISTENING = re.compile(r'msg="Listening on" address=(\S+)')
_METRIC = re.compile(r"\breuse_proxy_\w+")
_OF_HISTOGRAMS = re.compile(r"_(?:bucket|sum|count)$")


def quickened(text: str) -> str:
    """Divide every duration in expressions and files by `SPEED`; nothing else changes."""

    def shorter(match: re.Match[str]) -> str:
        number, unit = filter(None, match.groups())
        return f"{int(number) * _UNITS_MS[unit] // SPEED}ms"

    return _KEY.sub(shorter, _DURATION.sub(shorter, text))


def rules(file: str) -> list[dict[str, Any]]:
    """Read the rules of a shipped file."""
    groups = yaml.safe_load((FOLDER / file).read_text("ascii"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def unknown_metrics(expression: str) -> set[str]:
    """Name the metrics of an expression that docs/metrics.md does not tell of.

    What rules record is known by its colons, and looked at where it is recorded.
    """
    told = set(re.findall(r"`(\w+)(?:\{[\w,]+\})?`", METRICS.read_text("utf-8")))
    asked = {
        name.removeprefix("reuse_proxy_")
        for name in _METRIC.findall(re.sub(r"\w+:\w+:\w+", "", expression))
    }
    return {name for name in asked if not {name, _OF_HISTOGRAMS.sub("", name)} & told}


class Prometheus:
    """A running Prometheus; asks it through its HTTP API."""

    def __init__(self, folder: Path, targets: list[str]) -> None:
        for file in ("prometheus.yml", "rules.yml", "alerts.yml"):
            (folder / file).write_text(quickened((FOLDER / file).read_text("ascii")))
        (folder / "targets.yml").write_text(yaml.safe_dump([{"targets": targets}]))
        self._folder = folder
        self._log: list[str] = []
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - Debian's own
            [
                need("prometheus"),
                f"--config.file={self._folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                "--query.lookback-delta=5s",
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        lines = self._lines()
        self.address = next(filter(None, map(_LISTENING.search, lines)))[1]
        next(line for line in lines if "ready to receive web requests" in line)
        # Somebody has to read what else it says.
        self._reader = threading.Thread(target=list, args=(lines,))
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._reader.join()
        assert self._process.stderr is not None
        self._process.stderr.close()

    def _lines(self) -> Iterator[str]:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._log.append(line)
            yield line

    # Ask...

    def ask(self, path: str, **parameters: object) -> Any:
        """Ask one endpoint of the API and return its data."""
        query = urllib.parse.urlencode(parameters)
        with self._open(f"http://{self.address}/api/v1/{path}?{query}") as response:
            return json.load(response)["data"]

    def now(self) -> float:
        """Return the time on its clock."""
        return float(self.ask("query", query="time()")["result"][0])

    def query(self, expression: str, *, at: float) -> list[dict[str, Any]]:
        """Return the samples of an expression at a moment, but for those without value."""
        found = self.ask("query", query=expression, time=at)["result"]
        return [sample for sample in found if sample["value"][1] != "NaN"]

    def value(self, expression: str, *, at: float) -> float:
        """Return the value of an expression that has one sample."""
        (sample,) = self.query(expression, at=at)
        return float(sample["value"][1])

    def firing(self) -> list[dict[str, Any]]:
        """Return the alerts that fire now."""
        alerts = self.ask("alerts")["alerts"]
        return [alert for alert in alerts if alert["state"] == "firing"]

    def __repr__(self) -> str:
        return f"<Prometheus {self.address}, {len(self._log)} lines logged>"
