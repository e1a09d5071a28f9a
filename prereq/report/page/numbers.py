"""The tables of the page: methods compared, what leaked, knowledge plugged in, groups of questions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from prereq.evaluation import statistics
from prereq.evaluation.scoring import SURENESS
from prereq.report import tables
from prereq.report.collect import Line
from prereq.report.comparisons import reported
from prereq.report.estimates import RESAMPLES, Estimate, estimate
from prereq.runtime.console import progress

LEAKS = {
    "fictitious": "invented facts of the training rows",
    "unknown": "real facts of the training rows that the base model does not hold",
    "unseen": "facts that no text tells",
}
GROUPS = {  # columns of questions: see `evaluation.score`
    "type": "kind of question",
    "prop": "relation",
    "s_pop": "popularity (page views)",
    "told": "the number of times that pre-training told of it",
}


@dataclass(frozen=True)
class Cell:
    """A score with its interval; `n` rows (of each seed)."""

    found: Estimate | None
    n: int = 0
    best: bool = False
    unit: str = "share"

    @property
    def text(self) -> str:
        return f"{self.found.value:.1f}" if self.found else "–"

    @property
    def bounds(self) -> str:
        if self.found is None or self.found.low is None:
            return ""
        return f"{self.found.low:.1f} – {self.found.high:.1f}"


@dataclass(frozen=True)
class Column:
    heading: str
    note: str
    cells: list[Cell]


@dataclass(frozen=True)
class Grid:
    """A table: a row a line, the first column drawn with its intervals where `drawn`."""

    caption: str
    columns: list[Column]
    drawn: bool = False


def compared(lines: Sequence[Line], split: str | None) -> Grid | None:
    """The scores of every line: the reported split first, the one that selects last."""
    plugged_in = {s.split for line in lines for s in line.shown() if s.metric == "own"}
    splits = [s for s in _splits(lines) if _role(lines, s) not in LEAKS]
    splits = [s for s in splits if s.partition("_by_")[0] not in plugged_in]
    place = {split: 0, f"{split}_last": 1}
    splits.sort(key=lambda s: (place.get(s, 2), _role(lines, s) == "selection"))
    wanted = [(s, "accuracy", "") for s in splits] + [
        (s, "supported", "supported by the knowledge source") for s in splits
    ]
    declined = [s for s in splits if not s.endswith("_last") and _any(lines, s, "not_attempted")]
    for s in declined:
        wanted += [(s, "not_attempted", "not attempted"), (s, "simpleqa_f1", "F1 of SimpleQA")]
    wanted += [(s, m, f"{m} answers") for s in splits for m in SURENESS]
    wanted += [(s, "tokens", "tokens of an answer") for s in splits if not s.endswith("_last")]
    wanted += [(s, "facts", "facts of an answer") for s in splits]
    columns = _columns(lines, wanted, more_is_better=True)
    return Grid("Scores of every method", columns, drawn=True) if columns else None


def leaked(lines: Sequence[Line]) -> Grid | None:
    """What the skill states though it should not hold it."""
    splits = [s for s in _splits(lines) if _role(lines, s) in LEAKS]
    wanted = [(s, "accuracy", LEAKS[_role(lines, s)]) for s in splits]
    wanted += [(s, "supported", LEAKS[_role(lines, s)]) for s in splits]
    columns = _columns(lines, wanted, more_is_better=None)
    return Grid("Stated right though the base model does not hold it", columns) if columns else None


def plugged(lines: Sequence[Line]) -> Grid | None:
    """Agreement with the plugged-in version, with the other one, and without knowledge."""
    parts = [
        ("own", True, "agrees with the version plugged in"),
        ("other", True, "agrees with another version"),
        ("own", False, "without knowledge: agrees with the first version"),
        ("supported", True, "supported by pages of the version plugged in"),
    ]
    columns = []
    for split in dict.fromkeys(s.split for x in lines for s in x.shown() if s.knowledge):
        plug = [any(s.split == split and s.knowledge for s in line.shown()) for line in lines]
        for metric, with_knowledge, words in parts:
            cells = [
                _cell(line, split, metric, with_knowledge) if plugs else Cell(None)
                for line, plugs in zip(lines, plug, strict=True)
            ]
            if any(cell.found for cell in cells):
                columns.append(Column(tables.words(split), words, cells))
    return Grid("Agreement of the answers with each version", columns) if columns else None


def grouped(lines: Sequence[Line], split: str | None) -> list[Grid]:
    """Accuracy by the columns that tell questions apart, on the reported split."""
    grids = []
    for column, words in GROUPS.items():
        names = dict.fromkeys(
            s.split
            for line in lines
            for s in line.shown()
            if s.split.startswith(f"{split}/{column}=")
        )
        wanted = [(name, "accuracy", "") for name in sorted(names, key=_in_order)]
        columns = _columns(lines, wanted, more_is_better=True)
        if columns:
            grids.append(Grid(f"Accuracy by {words}, {tables.words(split)}", columns))
    return grids


def confidence(lines: Sequence[Line], split: str | None) -> Grid | None:
    """Whether an answer's confidence tells that it is right."""
    wanted = [(split, "confidence_auroc", "AUROC, right against wrong")]
    wanted += [(split, "calibration_error", "calibration error")]
    wanted += [
        (s, "confidence_auroc", "AUROC, known against facts in no text")
        for s in _splits(lines)
        if "_against_" in s
    ]
    columns = _columns(lines, wanted, more_is_better=None)
    return Grid("Whether confidence tells right from wrong", columns) if columns else None


def by_category(
    lines: Sequence[Line], categories: Callable[[Line, int], dict], told: dict
) -> Grid | None:
    """Accuracy on questions that a probe graded, by how well the base model knows the answer.

    `categories(line, seed)`: question → category; `told`: (line's name, seed) → its answers.
    """
    found: dict[str, list[list[list[float]]]] = {}  # category → for each line and seed its rows
    for place, line in enumerate(lines):
        for seed in line.runs:
            known = categories(line, seed)
            runs: dict[str, list[float]] = {}
            for answer in told.get((line.name, seed), ()):
                if category := known.get(answer["question"]):
                    runs.setdefault(category, []).append(float(answer["right"]))
            for category, rows in runs.items():
                found.setdefault(category, [[] for _ in lines])[place].append(rows)
    columns = []
    for category in sorted(found, key=_familiarity):
        cells = [_of_rows(runs) for runs in found[category]]
        columns.append(Column(category, "", cells))
    return Grid("Accuracy by familiarity (stage=probe)", columns) if columns else None


def _of_rows(runs: list[list[float]]) -> Cell:
    if not runs:
        return Cell(None)
    value = 100 * sum(sum(r) / len(r) for r in runs) / len(runs)
    pairs = [(rows, [1.0] * len(rows)) for rows in runs]
    low, high = statistics.over_seeds(pairs, RESAMPLES, shares=True)
    return Cell(Estimate(value, 100 * low, 100 * high), round(sum(map(len, runs)) / len(runs)))


def _familiarity(category: str) -> tuple[int, str]:
    order = ["highly known", "maybe known", "weakly known", "unknown"]
    return (order.index(category) if category in order else len(order)), category


def _columns(
    lines: Sequence[Line], wanted: Sequence[tuple[str, str, str]], more_is_better: bool | None
) -> list[Column]:
    """A column for each (split, metric, note) that any line has."""
    columns = []
    with progress("estimate intervals", len(wanted)) as advance:
        for split, metric, note in wanted:
            cells = [_cell(line, split, metric) for line in lines]
            advance()
            if not any(cell.found for cell in cells):
                continue
            if more_is_better and metric in ("accuracy", "supported", "simpleqa_f1"):
                cells = _with_best(lines, cells)
            role = _role(lines, split)
            words = note or tables.ROLES.get(role, "")
            columns.append(Column(_heading(split), words, cells))
    return columns


def _with_best(lines: Sequence[Line], cells: list[Cell]) -> list[Cell]:
    """The highest of the column marked; an oracle uses what no method can know and is left out."""
    values = [
        round(cell.found.value, 1)
        for line, cell in zip(lines, cells, strict=True)
        if cell.found and line.family != "oracle"
    ]
    if len(values) < 2:
        return cells
    return [
        Cell(
            cell.found,
            cell.n,
            bool(cell.found)
            and line.family != "oracle"
            and round(cell.found.value, 1) == max(values),
            cell.unit,
        )
        for line, cell in zip(lines, cells, strict=True)
    ]


def _cell(line: Line, split: str, metric: str, with_knowledge: bool = False) -> Cell:
    scores = line.scores(split, metric, with_knowledge)
    if not scores:
        return Cell(None)
    return Cell(estimate(line, split, metric, with_knowledge), scores[0].n, unit=scores[0].unit)


def _heading(split: str) -> str:
    base, _, group = split.partition("/")
    column, _, value = group.partition("=")
    if column == "s_pop":  # a range
        return " – ".join(f"{int(bound):,}" for bound in value.split("-"))
    return value or tables.words(base)


def _splits(lines: Sequence[Line]) -> list[str]:
    found = {s.split: None for line in lines for s in line.shown() if "/" not in s.split}
    return list(found)


def _any(lines: Sequence[Line], split: str, metric: str) -> bool:
    return any(s.value for line in lines for s in line.scores(split, metric))


def _role(lines: Sequence[Line], split: str) -> str | None:
    """The role of a split, also at its last epoch and of its judged answers."""
    base = split.removesuffix("_last").partition("_by_")[0]
    return next((line.roles[base] for line in lines if line.roles.get(base)), None)


def _in_order(split: str) -> tuple[int, str]:
    """Ranges by their lower bound, names by the alphabet."""
    low = split.rpartition("=")[2].partition("-")[0]
    return (int(low) if low.isdecimal() else 0), split


def by_score(lines: Sequence[Line], split: str | None) -> list[Line]:
    """The lines, those with the highest accuracy on the split first."""

    def mean(line: Line) -> float:
        scores = line.scores(split, "accuracy") if split else []
        return fmean(score.value for score in scores) if scores else -1.0

    return sorted(lines, key=mean, reverse=True)


def reported_split(lines: Sequence[Line]) -> str | None:
    """The split that most lines report."""
    found = [split for line in lines if (split := reported(line))]
    return max(found, key=found.count) if found else None
