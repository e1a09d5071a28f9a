"""Figures 3 and 4 as pictures (SVG and PNG), what was run here apart from what the paper printed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from prereq.report.collect import Line
from prereq.report.picture import coloured, plt
from prereq.report.published.beside import PRINTED, Beside, Ran, Setting
from prereq.runtime import files

SUFFIXES = ("svg", "png")


def draw(table: Beside, setting: Setting, ran: Sequence[Ran], file: Path) -> list[Path]:
    """The picture of figure 3 or 4; the files that were written, [] for a table."""
    drawn = {"figure3": _claims, "figure4": _grown}.get(setting.shows)
    if drawn is None:
        return []
    figure = drawn(table, setting, ran)
    written = []
    for suffix in SUFFIXES:
        content = io.BytesIO()
        figure.savefig(content, format=suffix, dpi=150)
        written.append(file.with_suffix(f".{suffix}"))
        files.write_bytes(written[-1], content.getvalue())
    plt.close(figure)
    return written


def _claims(table: Beside, setting: Setting, ran: Sequence[Ran]):
    """Accuracy against the number of claims: a point a seed here; beside it the paper's Table 1."""
    figure, (here, printed) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    split = f"{setting.split}_by_{setting.judge}"
    for line, colour in coloured([one.line for one in ran]):
        accuracy, claims = (
            {score.seed: score.value for score in line.scores(split, metric)}
            for metric in ("supported", "facts")
        )
        seeds = [seed for seed in claims if seed in accuracy]  # where any verdict could be read
        points = [claims[seed] for seed in seeds], [accuracy[seed] for seed in seeds]
        here.scatter(*points, color=colour, label=line.name)
    here.legend(fontsize=8, frameon=False)
    here.set_title(f"{setting.dataset} · {setting.model}, a point a seed", loc="left")
    task = table.tasks[0]
    points = [(*(cell.published for cell in row.cells), row.published) for row in table.rows]
    points = sorted(point for point in points if point[1] is not None)
    for place, (accuracy, claims, name) in enumerate(points):  # neighbours on different sides
        printed.scatter([claims], [accuracy], color="#555555", s=16)
        at, side = ((5, -3), "left") if place % 2 else ((-5, -3), "right")
        printed.annotate(
            name, (claims, accuracy), at, textcoords="offset points", ha=side, fontsize=8
        )
    name = f"{PRINTED['model']['name']}, {PRINTED['tasks'][task]['name']}"
    printed.set_title(f"published: {name}", loc="left", fontsize=10)
    for axis in (here, printed):
        axis.set_xlabel("claims an answer")
        axis.set_ylabel("claims supported, %")
        axis.margins(0.15)
        axis.set_xlim(0, 1.3 * axis.get_xlim()[1])
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _grown(table: Beside, setting: Setting, ran: Sequence[Ran]):
    """Accuracy by the number of fictitious subjects, a line a method with its 95 % interval."""
    figure, axis = plt.subplots(figsize=(7, 4.4), layout="constrained")
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
    axis.set_title(f"{setting.dataset} · {setting.model}, split {setting.split}", loc="left")
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def _colours(methods: Sequence[str], ran: Sequence[Ran]) -> list[tuple[str, str]]:
    """Each method with its colour."""
    first: dict[str, Line] = {}
    for one in ran:
        first.setdefault(one.method, one.line)
    named = coloured([first[method] for method in methods])
    return [(method, colour) for method, (_, colour) in zip(methods, named, strict=True)]
