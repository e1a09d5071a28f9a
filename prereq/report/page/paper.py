"""The paper's tables and figures on the page: what was run here, clearly apart from what was published."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes

from prereq.evaluation.scoring import SURENESS
from prereq.report import certainty
from prereq.report.collect import Line
from prereq.report.estimates import estimate
from prereq.report.page import svg
from prereq.report.published import figures, shown
from prereq.report.published.beside import Beside, Cell, Row, beside
from prereq.report.published.kept import Kept

SIZE = 4.4, 3.2  # inches; 72 units of the picture each
SMALL = {"font.size": 9, "axes.labelsize": 9, "xtick.labelsize": 9, "ytick.labelsize": 9}
BOUNDS = "below each number its 95 % interval"
METRICS = (*SURENESS, "accuracy")


@dataclass(frozen=True)
class Published:
    """A table or figure, and from which runs it is: name and anchor of each."""

    table: Beside
    apart: bool  # whether the paper's numbers stand beside
    pictures: list[tuple[str, Markup]]  # title and picture
    notes: list[str]
    runs: list[tuple[str, str]]
    head: str = "here"  # of the rows


def of_group(
    every: Sequence[Kept], lines: Sequence[Line], anchors: Mapping[str, str], place: str
) -> list[Published]:
    """Each experiment of which there are scores. `anchors`: where a line's origins stand, by its name."""
    found = []
    for kept in every:
        ran = kept.ran(lines)
        if not ran:
            continue
        table, setting = beside(kept.setting, ran), kept.setting
        notes = shown.notes(table, setting, ran, BOUNDS)
        if lost := kept.lacking(lines):
            notes.append(f"no longer here: {', '.join(lost)}")
        pictures = [
            (panel.title, _drawn(panel.draw, f"{place}-{setting.shows}-{number}", panel.title))
            for number, panel in enumerate(figures.panels(table, setting, ran))
        ]
        named = {run.who: line for run in kept.runs if (line := kept.line_of(run, lines))}
        runs = [(line.name, anchors[line.name]) for line in named.values()]
        apart = any(row.published for row in table.rows)
        found.append(Published(table, apart, pictures, notes, runs))
    return found + _certain(lines, anchors, place)


def _certain(lines: Sequence[Line], anchors: Mapping[str, str], place: str) -> list[Published]:
    """Figure 5: how sure answers are by how often pre-training told of what is asked."""
    found = []
    for number, (line, split, told) in enumerate(certainty.of_lines(lines)):
        rows = [
            Row(str(times), "", [_cell(line, f"{split}/told={times}", m) for m in METRICS])
            for times in told
        ]
        title = f"Figure 5: answers by the number of times that pre-training told, {line.name}"
        table = Beside(title, [*SURENESS, "right"], [None] * len(METRICS), rows)
        words = f"{line.name}: {', '.join(SURENESS)} answers, %"

        def drawn(axis: Axes, line=line, split=split, told=told) -> None:
            certainty.draw(axis, line, split, told)
            axis.set_ylabel("answers, %")
            axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.13), ncols=4, frameon=False)

        pictures = [("", _drawn(drawn, f"{place}-figure5-{number}", words))]
        runs = [(line.name, anchors[line.name])]
        many = sorted({cell.rows for row in rows for cell in row.cells if cell.rows})
        each, seeds = (", ".join(map(str, x)) for x in (many, sorted(line.runs)))
        here = f"here: split {split} ({each} rows of each number), seed {seeds}; {BOUNDS}"
        notes = [here, f"{certainty.PUBLISHED}."]
        found.append(Published(table, False, pictures, notes, runs, "times told"))
    return found


def _cell(line: Line, split: str, metric: str) -> Cell:
    rows = max((score.n for score in line.scores(split, metric)), default=None)
    return Cell(estimate(line, split, metric), rows)


def _drawn(draw: Callable[[Axes], None], name: str, words: str) -> Markup:
    """A panel as a picture of its own, in the page's colours."""
    with svg.themed(), svg.plt.rc_context(SMALL):
        figure, axis = svg.plt.subplots(figsize=SIZE, layout="constrained")
        draw(axis)
        return svg.inline(figure, name, words)
