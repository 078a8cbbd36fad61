"""What the benchmarks hand to the report: numbers of several rounds, by name.

A section of the suite is a module with ``TITLE`` and ``run(bench)``, which measures
and returns records; nothing else passes between sections, results and report.
"""

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Record:
    """One case through one subject (a proxy, or ``direct``), in all its rounds.

    Attributes:
        section: which part of the suite, such as ``small``.
        case: what was done, such as ``keep-alive, 32 clients``.
        subject: who did it, such as ``squid``.
        values: the measured numbers by name and unit, such as ``cpu_us``: one for each
            round, in their order.
        note: what a reader has to know, such as why there are no numbers.
    """

    section: str
    case: str
    subject: str
    values: dict[str, list[float]] = field(default_factory=dict)
    note: str = ""

    def median(self, name: str) -> float | None:
        """Return the median over the rounds; None where nothing was measured."""
        numbers = self.values.get(name)
        return statistics.median(numbers) if numbers else None

    def spread(self, name: str) -> tuple[float, float] | None:
        """Return the lowest and the highest of the rounds."""
        numbers = self.values.get(name)
        return (min(numbers), max(numbers)) if numbers else None


@dataclass(frozen=True)
class Results:
    """A run of the suite: its records, and what they are true of.

    ``facts`` are versions, kernel, cores, commands and time, as text by name.
    """

    facts: dict[str, str]
    records: list[Record]

    def find(self, section: str, case: str, subject: str) -> Record | None:
        """Return a record by its names."""
        for record in self.records:
            if (record.section, record.case, record.subject) == (
                section,
                case,
                subject,
            ):
                return record
        return None

    def write(self, path: Path) -> None:
        """Keep the results as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Return results that were kept."""
        document = json.loads(path.read_text())
        records = [Record(**record) for record in document["records"]]
        return cls(document["facts"], records)
