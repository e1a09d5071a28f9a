"""How sure answers are by how often pre-training told of what is asked: a table and stacked bars.

It is the paper's figure 5, whose horizontal axis is page views of the entity, in a world where the number
of times is known.
"""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from rich import box
from rich.markup import escape
from rich.table import Table

from prereq.evaluation.scoring import SURENESS
from prereq.report import tables
from prereq.report.collect import Line
from prereq.report.estimates import estimate
from prereq.runtime import files

PANELS = 3  # side by side
COLOURS = ("#0072B2", "#E69F00", "#BBBBBB")  # certain, unsure, unknown
PUBLISHED = (
    "published (figure 5; Llama-3-8B, biographies, by page views): the more viewed an entity is, the more "
    "answers are certain; unsure and unknown ones are of the less viewed. Not the same task: no figure to "
    "compare with"
)


def of_lines(lines: Sequence[Line]) -> list[tuple[Line, str, list[int]]]:
    """Each line whose answers say how sure they are: the split, and the numbers of times it was told."""
    found = []
    for line in lines:
        for split in line.splits:
            told = sorted(
                {
                    int(score.split.partition("=")[2])
                    for score in line.shown()
                    if score.split.startswith(f"{split}/told=") and score.metric == SURENESS[0]
                }
            )
            if len(told) > 2:  # fewer are no scale
                found.append((line, split, told))
    return found


def shown(found: Sequence[tuple[Line, str, list[int]]]) -> None:
    """The table of each line."""
    for line, split, told in found:
        title = f"{line.dataset} · {line.model} · {line.name}: answers of {split} by familiarity"
        tables.out.print(escape(title), style="italic")
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
        for heading in ("times told", *SURENESS, "right"):
            table.add_column(heading, justify="right", no_wrap=True)
        for number in told:
            place = f"{split}/told={number}"
            cells = [str(estimate(line, place, metric)) for metric in (*SURENESS, "accuracy")]
            table.add_row(str(number), *cells)
        tables.out.print(table)
    if found:
        tables.out.print(escape(f"{tables.LEGEND}; {PUBLISHED}."), style="dim")
        tables.out.print()


def picture(found: Sequence[tuple[Line, str, list[int]]], file: Path) -> Path | None:
    """A panel a line: stacked bars by the number of times, and the share right; None without a line."""
    if not found:
        file.unlink(missing_ok=True)  # an earlier report's
        return None
    across = min(len(found), PANELS)
    down = -(-len(found) // across)
    size = (1.2 + 3.4 * across, 3.6 * down)
    figure, axes = plt.subplots(
        down, across, figsize=size, squeeze=False, sharey=True, layout="constrained"
    )
    for axis in axes.flat[len(found) :]:
        axis.axis("off")
    for axis, (line, split, told) in zip(axes.flat, found, strict=False):
        draw(axis, line, split, told)
        title = textwrap.fill(f"{line.dataset} · {line.name}", 44, max_lines=3, placeholder=" …")
        axis.set_title(title, loc="left", fontsize=9)
    for axis in axes[:, 0]:
        axis.set_ylabel("answers, %")
    axes[0][across - 1].legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150)
    plt.close(figure)
    files.write_bytes(file, content.getvalue())
    return file


def draw(axis: Axes, line: Line, split: str, told: Sequence[int]) -> None:
    """The panel of one line."""
    bottom = [0.0] * len(told)
    for metric, colour in zip(SURENESS, COLOURS, strict=True):
        heights = [_value(line, split, number, metric) for number in told]
        axis.bar(range(len(told)), heights, 0.85, bottom, color=colour, label=metric)
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    right = [_value(line, split, number, "accuracy") for number in told]
    style = {"color": "#000000", "markerfacecolor": "#ffffff", "markersize": 4}
    axis.plot(range(len(told)), right, "o-", label="right", **style)
    axis.set_xticks(range(len(told)), list(map(str, told)))
    axis.set_xlabel("times that pre-training told of the person")
    axis.set_ylim(0, 102)
    axis.spines[["top", "right"]].set_visible(False)


def _value(line: Line, split: str, told: int, metric: str) -> float:
    return estimate(line, f"{split}/told={told}", metric).value
