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
Found = dict[tuple[str, str], dict[str, Score]]  # (split, knowledge) → the scores of each metric
SCORES = {
    "supported": "supported",
    "supported_penalised": "length penalty",
    "facts": "facts",
    "answered": "answered",
}
LOST = {  # a table of its own, where there is something to tell
    "irrelevant": "irrelevant",
    "unreadable": "unreadable",
    "unread_sentences": "unread\nsentences",
    "without_passages": "no page",
}
LEGEND = (
    "supported: % of an answer's facts, mean over the answered topics, without and with the length penalty, "
    "± half a 95 % interval; facts: of an answer; answered: % of the topics"
)
OF_LOST = (
    "irrelevant, unreadable: % of the facts; unread sentences: of an answer; no page: % of the topics, which "
    "are judged by other pages"
)
NOTHING_LOST = "no fact was irrelevant, no reply unreadable, and no topic without a page"


def show(artifact: Artifact, agreements: Sequence[dict] | None) -> None:
    """The scores of one judge, then its agreement with people wherever that was measured.

    `agreements` is None for a judge without a model.
    """
    result = scored(artifact)
    changes = spelt(result.labels["changes"])
    title = f"{result.dataset} · {result.model} · {result.labels['method']}"
    out.print(escape(title + (f" ({changes})" if changes else "")), style="italic")
    found: Found = {}
    for score in result.scores:
        found.setdefault((score.split, score.knowledge), {})[score.metric] = score
    _table(found, SCORES)
    out.print(LEGEND, style="dim")
    if any(name in scores and scores[name].value for scores in found.values() for name in LOST):
        _table(found, LOST)
        out.print(OF_LOST, style="dim")
    else:
        out.print(NOTHING_LOST, style="dim")
    for told in agreements or ():
        show_agreement(told)
    if agreements == []:
        out.print(
            "how far this judge agrees with people was not measured: judge.validate=FILE does"
        )


def _table(found: Found, columns: dict[str, str]) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("split", overflow="fold")
    for heading in ("topics", *columns.values()):
        table.add_column(heading, justify="right", no_wrap=True)
    for (split, knowledge), scores in found.items():
        name = split.replace("_", " ") + (f", {knowledge}" if knowledge else "")
        cells = [_cell(metric, scores.get(metric)) for metric in columns]
        table.add_row(escape(name), str(scores["answered"].n), *cells)
    out.print(table)


def _cell(metric: str, score: Score | None) -> str:
    if score is None:
        return "–"
    if metric.startswith("supported"):
        return f"{score.value:.1f} ± {(score.high - score.low) / 2:.1f}"
    return f"{score.value:.1f}"


def show_agreement(told: dict) -> None:
    """What `prereq.evaluation.factscore.validation` found, in sentences."""
    for line in told["said"]:
        out.print(f"[bold]→[/bold] {escape(line)}")
