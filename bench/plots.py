"""The plots of the report, as SVG: `python bench/plots.py RESULTS.json FOLDER`.

matplotlib is an extra of its own (`bench`).  The same results give the same files.
"""

import math
import re
import statistics
import sys
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
from cells import column, number
from figures import PLOTS, Kind, Panel
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from records import Record, Results
from turns import OURS

# Of Okabe and Ito: told apart by those who do not see all colours, too.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_MARKERS = "osD^vP"
_STYLE = {
    "svg.hashsalt": "reuse-proxy",
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    # Whatever the page that shows it looks like.
    "figure.facecolor": "white",
}
_WIDTH, _ROW_HEIGHT, _MARGIN = 9.5, 0.38, 1.4
# Times between the lowest and the highest from which on a line is logarithmic, or has
# numbers at decades only.
_LOG_FROM, _FAR = 20, 200
_DARK = 0.6


def main() -> int:
    """Draw the plots of results that were kept."""
    if len(sys.argv) != 3:
        sys.stderr.write("usage: plots.py RESULTS.json FOLDER\n")
        return 2
    draw_all(Results.read(Path(sys.argv[1])), Path(sys.argv[2]))
    return 0


def draw_all(results: Results, folder: Path) -> list[Path]:
    """Draw every plot that there are numbers for; return the files."""
    folder.mkdir(exist_ok=True)
    files = []
    for plot in PLOTS:
        records = [r for r in results.records if r.section == plot.section and r.values]
        panels = [
            (panel, found) for panel in plot.panels if (found := _of(panel, records))
        ]
        if panels:
            files.append(folder / plot.file)
            with mpl.rc_context(_STYLE):
                _draw(panels).savefig(files[-1], metadata={"Date": None})
    return files


def _of(panel: Panel, records: Sequence[Record]) -> list[Record]:
    """Return what a panel shows."""
    return [
        record
        for record in records
        if record.values.get(panel.value)
        and (not panel.cases or record.case in panel.cases)
    ]


def _draw(panels: list[tuple[Panel, list[Record]]]) -> Figure:
    rows = max(_rows(panel, records) for panel, records in panels)
    figure = Figure((_WIDTH, _MARGIN + _ROW_HEIGHT * rows), layout="constrained")
    places = figure.subplots(1, len(panels), squeeze=False)[0]
    for place, (panel, records) in zip(places, panels, strict=True):
        _DRAWERS[panel.kind](place, panel, records)
    return figure


def _rows(panel: Panel, records: list[Record]) -> int:
    """Return how high a panel is, in lines of text."""
    if panel.kind is Kind.LINES:
        return 8
    subjects = panel.kind is Kind.DOTS
    return len({record.subject if subjects else record.case for record in records})


def _dots(axes: Axes, panel: Panel, records: list[Record]) -> None:
    """Draw medians with their spreads: a line a subject, a colour a case."""
    subjects = list(dict.fromkeys(record.subject for record in records))
    cases = list(dict.fromkeys(record.case for record in records))
    for number_of_case, case in enumerate(cases):
        of_case = [record for record in records if record.case == case]
        # Side by side, so that none hides another.
        shift = 0.16 * (number_of_case - (len(cases) - 1) / 2)
        middles, low, high = _spreads(of_case, panel.value)
        axes.errorbar(
            middles,
            [subjects.index(record.subject) + shift for record in of_case],
            xerr=(low, high),
            fmt=_MARKERS[number_of_case],
            color=_COLOURS[number_of_case],
            label=case,
        )
    axes.set_yticks(range(len(subjects)), subjects)
    axes.set_ylim(len(subjects) - 0.5, -0.5)
    _emphasise(axes, subjects)
    _scale(axes, [m for r in records for m in r.values[panel.value]])
    axes.set_xlabel(column(panel.value).title)
    if len(cases) > 1:
        _legend(axes)


def _spreads(
    records: list[Record], value: str
) -> tuple[list[float], list[float], list[float]]:
    """Return medians, and how far down and up the rounds go from them."""
    middles = [statistics.median(record.values[value]) for record in records]
    low = [m - min(r.values[value]) for m, r in zip(middles, records, strict=True)]
    high = [max(r.values[value]) - m for m, r in zip(middles, records, strict=True)]
    return middles, low, high


def _lines(axes: Axes, panel: Panel, records: list[Record]) -> None:
    """Draw a line for each subject over the number that its cases begin with."""
    looks = zip(cycle(_MARKERS), cycle(_COLOURS), strict=False)
    for subject in dict.fromkeys(record.subject for record in records):
        marker, colour = next(looks)
        of_subject = [record for record in records if record.subject == subject]
        middles, low, high = _spreads(of_subject, panel.value)
        axes.errorbar(
            [_number_of(record.case) for record in of_subject],
            middles,
            yerr=(low, high),
            marker=marker,
            color=colour,
            label=subject,
        )
    axes.set_xscale("log")
    _plain(axes.xaxis)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(panel.title)
    axes.set_ylabel(column(panel.value).title)
    _legend(axes)


def _number_of(case: str) -> int:
    return int(re.sub(r"\D.*", "", case.replace(",", "")))


def _grid(axes: Axes, panel: Panel, records: list[Record]) -> None:
    """Draw a table whose cells are the darker the higher their numbers are."""
    # Where there is TLS, a tunnel is what a proxy does.
    middles = {
        (r.case, r.subject.removesuffix(", tunnel")): statistics.median(
            r.values[panel.value]
        )
        for r in records
    }
    cases, subjects = (
        list(dict.fromkeys(names)) for names in zip(*middles, strict=True)
    )
    shade = LogNorm(1, max(2, *middles.values()))
    cells = [
        [middles.get((case, subject), math.nan) for subject in subjects]
        for case in cases
    ]
    axes.imshow(cells, cmap="Oranges", norm=shade, aspect="auto")
    for (case, subject), middle in middles.items():
        colour = "white" if shade(max(1, middle)) > _DARK else "black"
        where = subjects.index(subject), cases.index(case)
        axes.text(*where, number(middle, 0), ha="center", va="center", color=colour)
    axes.set_xticks(range(len(subjects)), subjects, rotation=30, ha="right")
    axes.set_yticks(range(len(cases)), cases)
    axes.grid(visible=False)
    axes.set_title(column(panel.value).title, fontsize="medium")


def _emphasise(axes: Axes, subjects: list[str]) -> None:
    for label, subject in zip(axes.get_yticklabels(), subjects, strict=True):
        if subject.startswith(OURS):
            label.set_fontweight("bold")


def _scale(axes: Axes, values: list[float]) -> None:
    """Start at nothing, or show times where the lowest could not be told otherwise."""
    if min(values) > 0 and max(values) > _LOG_FROM * min(values):
        axes.set_xscale("log")
        # A decade or two alone would have too few numbers on its line.
        near = max(values) < _FAR * min(values)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if near else (1,)))
    else:
        axes.set_xlim(left=min(0, *values))
    _plain(axes.xaxis)


def _plain(axis: Axis) -> None:
    """Write numbers as people do."""
    axis.set_major_formatter(lambda value, _: f"{value:,g}")
    axis.set_minor_formatter(NullFormatter())


def _legend(axes: Axes) -> None:
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, ncols=1)


_DRAWERS: dict[Kind, Callable[[Axes, Panel, list[Record]], None]] = {
    Kind.DOTS: _dots,
    Kind.LINES: _lines,
    Kind.GRID: _grid,
}


if __name__ == "__main__":
    sys.exit(main())
