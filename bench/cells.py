"""Numbers as text: the columns of the tables, and what stands in a cell."""

from dataclasses import dataclass

from records import Record

REFERENCE = "squid"
EXPLANATION = (
    "A cell is the median of the rounds (lowest-highest), and its ratio to squid's where"
    " that says something. CPU is user + system time of the proxy's process group."
)


@dataclass(frozen=True)
class Column:
    """How a value of the records is called and written.

    ``compared`` tells that its ratio to squid's says something.
    """

    title: str
    digits: int = 0
    compared: bool = False


COLUMNS = {
    "cpu_us": Column("CPU, µs/request", 0, compared=True),
    "cpu_ms": Column("CPU, ms/request", 1),
    "cpu_s_gb": Column("CPU, s/GB", 2, compared=True),
    "user_share": Column("of it not the kernel's", 2),
    "instructions": Column("user-space instructions/request"),
    "rate": Column("requests/s"),
    "mb_s": Column("MB/s"),
    "p50_us": Column("p50, µs"),
    "p99_us": Column("p99, µs"),
    "origin_connections": Column("connections that the origin accepted, per round"),
    "connections": Column("connections at the origin"),
    "most_open": Column("connections at the origin at once"),
    "ms": Column("ms/request", 1),
    "saved_ms": Column("saved, ms/request", 1),
    "claimed_ms": Column("claimed by the report, ms/request", 1),
    "claimed_of_saved": Column("claimed / saved", 2),
    "p50_ms": Column("p50, ms", 1),
    "p99_ms": Column("p99, ms", 1),
    "normal_ms": Column("calm before, ms", 1),
    "late_ms": Column("sent late by, ms", 1),
    "served_share": Column("served", 2),
    "refused_share": Column("refused (503)", 2),
    "failed_share": Column("failed", 2),
    "offered": Column("offered/s"),
    "fits": Column("fits/s"),
    "recovery_s": Column("recovery, s", 2),
    "start_ms": Column("exec to ready, ms"),
    "rss_idle_mib": Column("RSS idle, MiB", 1),
    "pss_idle_mib": Column("PSS idle, MiB", 1),
    "rss_worked_mib": Column("RSS after work, MiB", 1),
    "pss_worked_mib": Column("PSS after work, MiB", 1),
    "rss_mib": Column("RSS, MiB", 1),
    "pss_mib": Column("PSS, MiB", 1),
    "kib_per_client": Column("KiB/client", 1),
    "kib_per_origin": Column("KiB/origin", 1),
}


def column(name: str) -> Column:
    """Return the column of a value; one that is not known goes by its own name."""
    return COLUMNS.get(name, Column(name, 2))


def cell(record: Record | None, name: str, reference: Record | None = None) -> str:
    """Write a median with its spread, and its ratio to the reference's."""
    middle = record.median(name) if record else None
    spread = record.spread(name) if record else None
    if middle is None or spread is None:
        return "-"
    shown = column(name)
    text = number(middle, shown.digits)
    low, high = (number(end, shown.digits) for end in spread)
    if low != high:
        text += f" ({low}-{high})"
    base = reference.median(name) if reference and shown.compared else None
    return f"{text}, {middle / base:.2f}x" if base else text


def number(value: float, digits: int) -> str:
    """Write a number with separators."""
    return f"{value:,.{digits}f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Write a table in Markdown."""
    return "\n".join(map(_row, [head, ["---"] * len(head), *rows]))


def _row(cells: list[str]) -> str:
    # A bar would end the cell.
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
