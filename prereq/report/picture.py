"""The pictures: accuracy by epoch, by coverage and by popularity; one line a method."""

import io
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import MaxNLocator

from prereq.config.schema.probe import CATEGORIES
from prereq.report import familiarity
from prereq.report.collect import Line
from prereq.report.comparisons import reported
from prereq.report.estimates import estimate
from prereq.runtime import files

# Colours that differ for colour-blind readers (Okabe and Ito).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#000000", "#999999")

GREYS = ("#8c8c8c", "#b5b5b5", "#d9d9d9")  # of what the base model knows, from best to worst
HEIGHT_OF_A_LINE = 4.5  # of a label, in percent of the axis


def curves(lines: Sequence[Line], file: Path) -> tuple[Path | None, list[str]]:
    """Accuracy by epoch: one panel for each data set and model; the file (None without curves), and the
    names of the lines that would crowd it."""
    label = "held-out known facts stated right, %"
    return _drawn([line for line in lines if by_epoch(line)], file, _epochs, label)


def coverage(lines: Sequence[Line], file: Path) -> Path | None:
    """Accuracy among the most confident answers, by the share of questions that they are."""
    label = "right among those answered, %"
    return _drawn([line for line in lines if by_coverage(line)], file, _coverage, label)[0]


def popularity(lines: Sequence[Line], file: Path) -> Path | None:
    """Accuracy by popularity (page views), before the shares of rows that the base model knows, where a
    probe says that."""
    label = "right (lines), known to the base (bars), %"
    return _drawn([line for line in lines if _buckets(line)], file, _popularity, label)[0]


def _drawn(
    lines: Sequence[Line], file: Path, draw: Callable, label: str
) -> tuple[Path | None, list[str]]:
    """A picture of panels; the file, and what is left out of it."""
    panels: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        panels.setdefault((line.dataset, line.model), []).append(line)
    left_out = []
    for place, group in panels.items():
        shown = sorted(group, key=lambda line: len(line.changes))[: len(COLOURS)]
        left_out += [f"{place[0]} {line.name}" for line in group if line not in shown]
        panels[place] = [line for line in group if line in shown]
    if not panels:
        file.unlink(missing_ok=True)  # an earlier report's
        return None, []
    size = (1 + 6 * len(panels), 4.4)
    figure, axes = plt.subplots(
        1, len(panels), figsize=size, squeeze=False, sharey=True, layout="constrained"
    )
    for axis, (place, group) in zip(axes[0], panels.items(), strict=True):
        draw(axis, group)
        axis.set_ylim(0, 102)
        axis.set_title(" · ".join(place), loc="left")
        axis.grid(axis="y", color="#dddddd", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel(label)
    if left_out:
        words = textwrap.wrap(f"not drawn: {', '.join(left_out)}", 100 * len(panels))
        figure.supxlabel("\n".join(words), fontsize=7, x=0.01, ha="left")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150)
    plt.close(figure)
    files.write_bytes(file, content.getvalue())
    return file, left_out


def _coverage(axis, lines: Sequence[Line]) -> None:
    ends = []
    for line, colour in coloured(lines):
        shares, means = by_coverage(line)
        style = "--" if line.family == "oracle" else "-"
        axis.plot(shares, means, style, color=colour, linewidth=2)
        ends.append((means[-1], line.name, colour, 100))
    _label_ends(axis, ends, first=0)
    splits = dict.fromkeys(reported(line) for line in lines)
    words = ", ".join(split.replace("_", " ") for split in splits)
    axis.set_xlabel(f"% of the questions answered ({words}), the most confident first")


def by_coverage(line: Line) -> tuple[list[float], list[float]] | None:
    """Coverage in percent, and the accuracy there as mean over seeds; None where nothing tells it."""
    split = reported(line)
    runs = [
        [
            (point["coverage"], point["accuracy"])
            for point in run.coverage
            if point["split"] == split
        ]
        for run in (line.of(split) if split else {}).values()
    ]
    runs = [run for run in runs if run]
    if not runs:
        return None
    shares = [share for share, _ in runs[0]]
    values = [np.interp(shares, *zip(*run, strict=True)) for run in runs]
    return shares, np.mean(values, axis=0).tolist()


def _buckets(line: Line) -> list[str]:
    """The buckets of page views on the split that is compared, from the fewest."""
    start = f"{reported(line)}/s_pop="
    found = {s.split.removeprefix(start) for s in line.shown() if s.split.startswith(start)}
    return sorted(found, key=familiarity.lowest)


def _popularity(axis, lines: Sequence[Line]) -> None:
    buckets = sorted({b for line in lines for b in _buckets(line)}, key=familiarity.lowest)
    known = next(filter(None, map(familiarity.by_popularity, lines)), {})
    floor = np.zeros(len(buckets))
    for category, grey in zip(CATEGORIES, GREYS, strict=False):  # what is left is unknown
        shares = np.array([known.get(bucket, {}).get(category, 0.0) for bucket in buckets])
        axis.bar(range(len(buckets)), shares, 0.8, floor, color=grey, label=category, zorder=0)
        floor += shares
    ends = []
    for line, colour in coloured(lines):
        found = [estimate(line, f"{reported(line)}/s_pop={b}", "accuracy") for b in buckets]
        there = [(place, each) for place, each in enumerate(found) if each]
        places, values = [place for place, _ in there], [each.value for _, each in there]
        bounds = [[e.value - e.low for _, e in there], [e.high - e.value for _, e in there]]
        style = "--" if line.family == "oracle" else "-"
        axis.errorbar(places, values, bounds, fmt=f"o{style}", color=colour, capsize=3)
        ends.append((values[-1], line.name, colour, len(buckets) - 0.5))
    _label_ends(axis, ends, first=0)
    axis.set_xlim(-0.5, len(buckets) - 0.5)
    axis.set_xticks(range(len(buckets)), [bucket.replace("-", "–\n") for bucket in buckets])
    splits = dict.fromkeys(reported(line).replace("_", " ") for line in lines)
    axis.set_xlabel(f"popularity, by powers of ten ({', '.join(splits)})")
    if known:
        axis.legend(loc="upper left", fontsize=7, frameon=False)


def _epochs(axis, lines: Sequence[Line]) -> None:
    ends, starts = [], []
    for line, colour in coloured(lines):
        runs = by_epoch(line)
        for run in runs if len(runs) > 1 else ():
            axis.plot(list(run), list(run.values()), color=colour, linewidth=0.7, alpha=0.35)
        epochs = sorted(set.intersection(*(set(run) for run in runs)))
        means = [fmean(run[epoch] for run in runs) for epoch in epochs]
        style = "--" if line.family == "oracle" else "-"
        axis.plot(epochs, means, style, color=colour, linewidth=2)
        if len(epochs) == 1:  # of the base model, or where no epoch was kept but the last
            axis.axhline(means[0], color=colour, linestyle=":", linewidth=1.2)
        ends.append((means[-1], line.name, colour, epochs[-1]))
        starts.append(epochs[0])
    _label_ends(axis, ends, first=min((e for e in starts if e), default=0))
    axis.set_xlabel("epoch of skill training")


def coloured(lines: Sequence[Line]) -> list[tuple[Line, str]]:
    """Each line with the colour of its method, or with one that no line has yet."""
    of_methods = {line.colour for line in lines}
    free = [colour for colour in COLOURS if colour not in of_methods]
    used: set[str] = set()
    found = []
    for line in lines:
        wanted = [line.colour] if line.colour else []
        colour = next(c for c in [*wanted, *free, *COLOURS] if c not in used)
        used.add(colour)
        found.append((line, colour))
    return found


def by_epoch(line: Line) -> list[dict[int, float]]:
    """Epoch → accuracy on the known facts, for each seed."""
    known = line.split_of("known")
    runs = [run[known] for run in line.runs.values() if known in run]
    found = [{c["epoch"]: c["value"] for c in run.curve if c["split"] == known} for run in runs]
    return [dict(sorted(values.items())) for values in found if values]


def _label_ends(axis, ends: list[tuple[float, str, str, int]], first: int) -> None:
    """Name each line at its end, from the top down, moved apart where they would overlap.

    The axis begins at the epoch `first`.
    """
    ceiling = 102.0
    longest = max(epoch for *_, epoch in ends)
    for value, name, colour, _ in sorted(ends, reverse=True):
        label = textwrap.wrap(name, 22, max_lines=3, placeholder=" …")
        half = HEIGHT_OF_A_LINE * len(label) / 2
        place = min(value, ceiling - half)
        ceiling = place - half
        axis.annotate(
            "\n".join(label),
            (longest, place),
            xytext=(6, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            fontsize=9,
            annotation_clip=False,  # a label may lie below the axis
        )
    axis.set_xlim(first if first < longest else 0, longest or 1)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
