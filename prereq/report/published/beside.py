"""What was run here and what the paper printed, as rows of one table; the paper's numbers: `printed.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from prereq.report.collect import Line
from prereq.report.estimates import Estimate, estimate

PRINTED: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parent / "printed.yaml").read_text("utf-8")
)
TITLES = {
    "table1": "Table 1: methods compared",
    "table2": "Table 2: knowledge plugged in",
    "table3": "Table 3: fictitious training facts told by the skill alone",
    "forms": "The form of knowledge",
    "figure3": "Figure 3: accuracy against the number of claims",
    "figure4": "Figure 4: accuracy as fictitious data grows",
}


@dataclass(frozen=True)
class Setting:
    """What was run: everything about it that is not in the scores."""

    shows: str
    dataset: str
    model: str
    long: bool  # texts, not short answers
    split: str | None  # whose accuracy is compared
    judge: (
        str | None
    )  # who judged the texts, as names of splits have it; None: they were not judged
    plug_in: str | None  # the split for plugged-in knowledge
    invented: str | None  # the split of fictitious training rows
    versions: dict[
        str, int | None
    ]  # fictitious knowledge LoRA → version of the facts that it holds
    subjects: int  # fictitious ones in all


@dataclass(frozen=True)
class Ran:
    """One run: a method and, for figure 4, how many fictitious subjects it learnt from (None: all)."""

    method: str
    size: int | None
    line: Line


@dataclass(frozen=True)
class Cell:
    """A number of this run, what it rests on, and the paper's; None where there is none."""

    here: Estimate | None = None
    rows: int | None = None  # of each seed
    published: float | None = None


@dataclass(frozen=True)
class Row:
    here: str  # what was run; empty: nothing
    published: str  # what the paper calls it; empty: it has none
    cells: list[Cell]


@dataclass(frozen=True)
class Beside:
    """A table; `tasks` names for each column the paper's task, None where the paper has no such column."""

    title: str
    columns: list[str]
    tasks: list[str | None]
    rows: list[Row]


def beside(setting: Setting, ran: Sequence[Ran]) -> Beside:
    """The table or figure that the experiment shows."""
    make = {"table2": _plugged, "table3": _told, "figure4": _grown}.get(setting.shows, _compared)
    return make(setting, ran)


def _compared(setting: Setting, ran: Sequence[Ran]) -> Beside:
    """Methods by accuracy and, where a judge counted them, claims: table 1, figure 3, forms."""
    measures = {"accuracy": _accuracy(setting)}
    if setting.shows != "forms" and setting.judge:
        measures["claims"] = "claims"
    task = _task(setting)
    rows = []
    for one, name, printed in _rows("forms" if setting.shows == "forms" else "table1", ran):
        if one or task in printed:
            cells = [_measured(setting, one, m, _value(printed, task, m)) for m in measures]
            rows.append(Row(one.line.name if one else "", name, cells))
    columns = [*measures.values()]
    return Beside(TITLES[setting.shows], columns, [task] * len(columns), rows)


def _told(setting: Setting, ran: Sequence[Ran]) -> Beside:
    """Fictitious facts of training rows that the skill alone tells: table 3."""
    tasks = ["invented_questions", "invented_persons"]
    splits = [None, setting.invented] if setting.long else [setting.invented, None]
    rows = []
    for one, name, printed in _rows("table3", ran):
        cells = [
            _cell(one, split, "accuracy", printed=_value(printed, task, "told"))
            for task, split in zip(tasks, splits, strict=True)
        ]
        rows.append(Row(one.line.name if one else "", name, cells))
    return Beside(TITLES["table3"], ["questions, %", "biographies, %"], [*tasks], rows)


def _plugged(setting: Setting, ran: Sequence[Ran]) -> Beside:
    """Agreement with each of two versions, by the version that is plugged in: table 2.

    Of more than two versions the columns are the own one and the others, and the paper has no such row.
    """
    versions = sorted({*setting.versions.values()} - {None})
    two = len(versions) == 2
    of_first, of_second, alone, plain = PRINTED["table2"]
    rows = []
    for one in ran:
        plugs = {s.knowledge for s in one.line.scores(setting.plug_in, "own", plugged=True)}
        for name, version in sorted(setting.versions.items(), key=lambda pair: pair[1] or 0):
            if name not in plugs or version is None:
                continue
            first = version == versions[0]
            own, other = (_cell(one, setting.plug_in, m, knowledge=name) for m in ("own", "other"))
            cells = [own, other] if first or not two else [other, own]
            says = of_first if first else of_second
            rows.append(_with_printed(f"{one.line.name} + {name}", says if two else "", cells))
        says = alone if plugs else plain if one.method == "sft" else ""
        cells = [_cell(one, setting.plug_in, metric) for metric in ("own", "other")]
        rows.append(_with_printed(one.line.name, says if two else "", cells))
    columns = [f"version {v}, %" for v in versions]
    if not two:
        columns = ["own version, %", "others, %"]  # without knowledge the first is its own
    return Beside(TITLES["table2"], columns, ["invented_questions"] * 2, rows)


def _grown(setting: Setting, ran: Sequence[Ran]) -> Beside:
    """Accuracy by the number of fictitious subjects: figure 4; at all of them the paper's Table 1."""
    task, methods = _task(setting), [*dict.fromkeys(one.method for one in ran)]
    runs = {(one.method, one.size or setting.subjects): one for one in ran}
    whole = {
        one.method: _value(printed, task, "accuracy")
        for one, _, printed in _rows("table1", [one for one in ran if one.size is None])
        if one
    }
    rows = []
    for size in sorted({size for _, size in runs}):
        full = whole if size == setting.subjects else {}
        cells = [
            _measured(setting, runs.get((method, size)), "accuracy", full.get(method))
            for method in methods
        ]
        says = "Table 1" if any(full.values()) else ""
        rows.append(Row(f"{size:,} subjects", says, cells))
    title = f"{TITLES['figure4']}: {_accuracy(setting)}"
    return Beside(title, methods, [task] * len(methods), rows)


def _rows(table: str, ran: Sequence[Ran]) -> list[tuple[Ran | None, str, dict[str, Any]]]:
    """(run, the paper's name, what it printed): the paper's rows, then runs that it has no row of."""
    left, found = list(ran), []
    for name, printed in PRINTED[table].items():
        mine = next((r for m in printed["methods"] for r in left if r.method == m), None)
        if mine:
            left.remove(mine)
        found.append((mine, name, printed))
    return found + [(one, "", {}) for one in left]


def _value(printed: dict[str, Any], task: str, measure: str) -> float | None:
    """A number of a row of the paper, None where it has none."""
    return printed.get(task, {}).get(measure)


def _task(setting: Setting) -> str:
    """The paper's task that the data set is, or else the one whose answers are of its kind."""
    named = {task["dataset"]: name for name, task in PRINTED["tasks"].items() if task["dataset"]}
    return named.get(setting.dataset, "persons" if setting.long else "short_qa")


def _accuracy(setting: Setting) -> str:
    if setting.judge:
        return "supported, %"
    return "facts right, %" if setting.long else "accuracy, %"


def _measured(setting: Setting, one: Ran | None, measure: str, published: float | None) -> Cell:
    """Accuracy or the number of claims on the split that is compared; of judged texts, by the judge."""
    split, metric = setting.split, measure
    if setting.judge:
        split = f"{split}_by_{setting.judge}"
        metric = {"accuracy": "supported", "claims": "facts"}[measure]
    return _cell(one, split, metric, printed=published)


def _cell(
    one: Ran | None,
    split: str | None,
    metric: str,
    knowledge: str | None = None,
    printed: float | None = None,
) -> Cell:
    if one is None or split is None:
        return Cell(published=printed)
    scores = one.line.scores(split, metric, plugged=knowledge is not None)
    scores = [s for s in scores if knowledge is None or s.knowledge == knowledge]
    found = estimate(one.line, split, metric, knowledge is not None, knowledge)
    return Cell(found, max((s.n for s in scores), default=None), printed)


def _with_printed(here: str, says: str, cells: Sequence[Cell]) -> Row:
    printed = PRINTED["table2"].get(says, {})
    values = [printed.get("first"), printed.get("second")]
    paired = zip(cells, values, strict=True)
    return Row(here, says, [Cell(cell.here, cell.rows, value) for cell, value in paired])
