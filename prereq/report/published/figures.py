"""Figures 3 and 4 as pictures (SVG and PNG), what was run here apart from what the paper printed."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes

from prereq.report.collect import Line
from prereq.report.picture import coloured, plt
from prereq.report.published.beside import PRINTED, Beside, Ran, Setting
from prereq.runtime import files

SUFFIXES = ("svg", "png")
SIZE = 6.0, 4.4  # inches of a panel


@dataclass(frozen=True)
class Panel:
    title: str
    draw: Callable[[Axes], None]


def panels(table: Beside, setting: Setting, ran: Sequence[Ran]) -> list[Panel]:
    """What figure 3 or 4 is made of; [] for a table."""
    here = f"{setting.dataset} · {setting.model}"
    if setting.shows == "figure3":
        name = f"{PRINTED['model']['name']}, {PRINTED['tasks'][table.tasks[0]]['name']}"
        return [
            Panel(f"{here}, a point a seed", lambda axis: _claims(axis, setting, ran)),
            Panel(f"published: {name}", lambda axis: _printed(axis, table)),
        ]
    if setting.shows == "figure4":
        title = f"{here}, split {setting.split}"
        return [Panel(title, lambda axis: _grown(axis, table, setting, ran))]
    return []


def draw(table: Beside, setting: Setting, ran: Sequence[Ran], file: Path) -> list[Path]:
    """The picture of figure 3 or 4; the files that were written, [] for a table."""
    shown = panels(table, setting, ran)
    if not shown:
        return []
    size = (SIZE[0] * len(shown), SIZE[1])
    figure, axes = plt.subplots(1, len(shown), figsize=size, squeeze=False, layout="constrained")
    for axis, panel in zip(axes[0], shown, strict=True):
        panel.draw(axis)
        axis.set_title(panel.title, loc="left", fontsize=10)
    written = []
    for suffix in SUFFIXES:
        content = io.BytesIO()
        figure.savefig(content, format=suffix, dpi=150)
        written.append(file.with_suffix(f".{suffix}"))
        files.write_bytes(written[-1], content.getvalue())
    plt.close(figure)
    return written


def _claims(axis: Axes, setting: Setting, ran: Sequence[Ran]) -> None:
    """Accuracy against the number of claims: a point a seed."""
    split = f"{setting.split}_by_{setting.judge}"
    for line, colour in coloured([one.line for one in ran]):
        accuracy, claims = (
            {score.seed: score.value for score in line.scores(split, metric)}
            for metric in ("supported", "facts")
        )
        seeds = [seed for seed in claims if seed in accuracy]  # where any verdict could be read
        points = [claims[seed] for seed in seeds], [accuracy[seed] for seed in seeds]
        axis.scatter(*points, color=colour, label=line.name)
    axis.legend(fontsize=8, frameon=False)
    _claims_axes(axis)


def _printed(axis: Axes, table: Beside) -> None:
    """The same of the paper, out of its Table 1."""
    points = [(*(cell.published for cell in row.cells), row.published) for row in table.rows]
    points = sorted(point for point in points if point[1] is not None)
    for place, (accuracy, claims, name) in enumerate(points):  # neighbours on different sides
        axis.scatter([claims], [accuracy], color=plt.rcParams["text.color"], s=16)
        at, side = ((5, -3), "left") if place % 2 else ((-5, -3), "right")
        axis.annotate(name, (claims, accuracy), at, textcoords="offset points", ha=side, fontsize=8)
    _claims_axes(axis)


def _claims_axes(axis: Axes) -> None:
    axis.set_xlabel("claims an answer")
    axis.set_ylabel("claims supported, %")
    axis.margins(0.15)
    axis.set_xlim(0, 1.3 * axis.get_xlim()[1])
    axis.spines[["top", "right"]].set_visible(False)


def _grown(axis: Axes, table: Beside, setting: Setting, ran: Sequence[Ran]) -> None:
    """Accuracy by the number of fictitious subjects, a line a method with its 95 % interval."""
    sizes = sorted({one.size or setting.subjects for one in ran})
    for place, (method, colour) in enumerate(_colours(table.columns, ran)):
        estimates = [row.cells[place].here for row in table.rows]
        pairs = [(n, e) for n, e in zip(sizes, estimates, strict=True) if e]
        numbers, found = [n for n, _ in pairs], [e for _, e in pairs]
        axis.plot(numbers, [e.value for e in found], "o-", color=colour, label=method)
        if all(e.low is not None for e in found):
            bounds = [e.low for e in found], [e.high for e in found]
            axis.fill_between(numbers, *bounds, color=colour, alpha=0.15, linewidth=0)
    axis.set_xscale("log")
    axis.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axis.minorticks_off()
    axis.set_ylim(0, 102)
    axis.set_xlabel("fictitious subjects in the skill data")
    axis.set_ylabel(table.title.rpartition(": ")[2])
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)


def _colours(methods: Sequence[str], ran: Sequence[Ran]) -> list[tuple[str, str]]:
    """Each method with its colour."""
    first: dict[str, Line] = {}
    for one in ran:
        first.setdefault(one.method, one.line)
    named = coloured([first[method] for method in methods])
    return [(method, colour) for method, (_, colour) in zip(methods, named, strict=True)]
