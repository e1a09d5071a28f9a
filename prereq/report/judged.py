"""Judged answers in the terminal: a line a split, and how far the judge agrees with people."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from prereq.artifacts.spec import Artifact
from prereq.config.shape import spelt
from prereq.report.collect import Score, scored

out = Console(highlight=False)
COLUMNS = {
    "supported": "supported",
    "supported_penalised": "with length\npenalty",
    "facts": "facts",
    "answered": "answered",
    "irrelevant": "irrelevant",
    "unreadable": "unreadable",
    "without_passages": "without\na page",
}
LEGEND = (
    "supported: share of an answer's facts, mean over the answered topics, ± half a 95 % interval; facts: of "
    "an answer; irrelevant, unreadable: shares of the facts; without a page: topics that the knowledge "
    "source has no page of"
)


def show(artifact: Artifact, agreements: Sequence[dict] | None) -> None:
    """The scores of one judge, then its agreement with people wherever that was measured.

    `agreements` is None for a judge without a model.
    """
    result = scored(artifact)
    changes = spelt(result.labels["changes"])
    title = f"{result.dataset} · {result.model} · {result.labels['method']}"
    out.print(escape(title + (f" ({changes})" if changes else "")), style="italic")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("split", overflow="fold")
    table.add_column("topics", justify="right", no_wrap=True)
    for heading in COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for split, knowledge in dict.fromkeys((s.split, s.knowledge) for s in result.scores):
        mine = [s for s in result.scores if (s.split, s.knowledge) == (split, knowledge)]
        found = {score.metric: score for score in mine}
        name = split.replace("_", " ") + (f", {knowledge}" if knowledge else "")
        cells = [_cell(metric, found.get(metric)) for metric in COLUMNS]
        table.add_row(escape(name), str(found["answered"].n), *cells)
    out.print(table)
    out.print(LEGEND, style="dim")
    for told in agreements or ():
        show_agreement(told)
    if agreements == []:
        out.print(
            "how far this judge agrees with people was not measured: judge.validate=FILE does"
        )


def _cell(metric: str, score: Score | None) -> str:
    if score is None:
        return "–"
    if metric in ("supported", "supported_penalised"):
        return f"{score.value:.1f} ± {(score.high - score.low) / 2:.1f}"
    return f"{score.value:.1f}"


def show_agreement(told: dict) -> None:
    """What `prereq.evaluation.factscore.validation` found, in sentences."""
    for line in told["said"]:
        out.print(f"[bold]→[/bold] {escape(line)}")
