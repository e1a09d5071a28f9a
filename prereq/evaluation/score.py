"""From stored generations to a table of scores with intervals: pure functions of rows."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from prereq.config import EvalConfig, TestSplit
from prereq.data.rows import SkillRow
from prereq.evaluation import statistics
from prereq.evaluation.metrics import CONFIDENCE, Scorer, expected, metrics_of
from prereq.evaluation.requests import Item
from prereq.evaluation.scoring import grade, sureness

QUESTIONS = ("qa", "final_answer")  # kinds of scoring
GROUPED = ("type", "prop", "s_pop", "told")  # columns of questions
ANSWERS = 100  # of each split, epoch and plugged-in knowledge, in the table to read


def best_epoch(
    generations: Sequence[dict],
    items: Mapping[str, Sequence[Item]],
    tests: Sequence[TestSplit],
    right: Scorer,
    last: int,
) -> int:
    """The epoch of highest accuracy on the splits that select, the earliest of equals; else `last`."""
    selecting = {test.name for test in tests if test.role == "selection"}
    values: dict[int, list[float]] = {}
    for g in generations:
        if g["split"] in selecting:
            rows = items[g["split"]][g["item"]].rows
            values.setdefault(g["epoch"], []).append(right(g["text"], rows))
    return max(values, key=lambda epoch: (fmean(values[epoch]), -epoch)) if values else last


def table(
    generations: Sequence[dict],
    items: Mapping[str, Sequence[Item]],
    tests: Sequence[TestSplit],
    settings: EvalConfig,
    right: Scorer,
    epochs: Mapping[str, int],
    versions: Mapping[str, int | None],
) -> dict:
    """`{"scores": rows of the long table, "rows": the values behind each, "curve": accuracy by epoch,
    "coverage": accuracy of the most confident answers, "asked": split → digest of its questions}`.

    Shares are in percent. A split at the last epoch, where it was scored at its best as well, is
    called `<split>_last`.
    """
    found = _Scores(settings, right)
    curve: list[dict] = []
    for test in tests:
        mine = [g for g in generations if g["split"] == test.name]
        for epoch in sorted({g["epoch"] for g in mine}):
            here = [g for g in mine if g["epoch"] == epoch and not g["knowledge"]]
            rows = [items[test.name][g["item"]].rows for g in here]
            if test.epochs == "all":
                values = [right(g["text"], r) for g, r in zip(here, rows, strict=True)]
                curve.append({"split": test.name, "epoch": epoch, "value": 100 * fmean(values)})
            names = [test.name] if epoch == epochs["best"] or test.epochs == "last" else []
            if test.epochs in ("all", "ends") and epoch == epochs["last"]:
                names.append(f"{test.name}_last")
            for name in names if not test.plug_in else ():
                found.measure(name, here, rows)
        if test.plug_in:
            for knowledge in sorted({g["knowledge"] for g in mine}):
                own, other = _plugged(mine, items[test.name], knowledge, versions, right)
                found.add("own", test.name, own, knowledge)
                if other:  # the subjects have other versions
                    found.add("other", test.name, other, knowledge)
    sure = found.confidence
    for known in (t.name for t in tests if t.role == "known" and t.name in sure):
        for unseen in (t.name for t in tests if t.role == "unseen" and t.name in sure):
            found.scores.append(_auroc(f"{known}_against_{unseen}", sure[known], sure[unseen]))
    asked = {test.name: _digest(items[test.name]) for test in tests}
    return {
        "scores": found.scores,
        "rows": found.by_row,
        "curve": curve,
        "coverage": found.coverage,
        "asked": asked,
    }


class _Scores:
    """The long table as it grows, and what stands behind it."""

    def __init__(self, settings: EvalConfig, right: Scorer):
        self.settings, self.right = settings, right
        self.metrics = metrics_of(settings.scoring, right, settings.abstentions, settings.hedges)
        self.scores: list[dict] = []
        self.by_row: list[dict] = []
        self.coverage: list[dict] = []
        self.confidence: dict[str, list[float]] = {}

    def add(
        self,
        name: str,
        split: str,
        values: Sequence[float],
        knowledge: str = "",
        unit: str = "share",
        out_of: Sequence[float] | None = None,
    ) -> None:
        """A score with its interval, from a value a row."""
        if out_of is not None and not sum(out_of):
            return  # a share of nothing: no answer was attempted
        bounds = statistics.interval(
            values, self.settings.bootstrap, shares=unit == "share", out_of=out_of
        )
        value = fmean(values) if out_of is None else sum(values) / sum(out_of)
        place = {"knowledge": knowledge, "split": split, "metric": name}
        self.scores.append(place | _score(value, bounds, unit, len(values)))
        self.by_row.append(place | {"values": values, "out_of": out_of})

    def measure(
        self, split: str, answers: Sequence[dict], rows: Sequence[Sequence[SkillRow]]
    ) -> None:
        """Every metric of the answers of a split: of all of them, by group, and with their confidence."""
        asks_questions = self.settings.scoring in QUESTIONS
        for metric in self.metrics:
            values = metric.values(answers, rows)
            out_of = metric.out_of(answers, rows) if metric.out_of is not None else None
            self.add(metric.name, split, values, unit=metric.unit, out_of=out_of)
        for group, own in _groups(rows) if asks_questions else ():
            parts = [answers[place] for place in own], [rows[place] for place in own]
            for metric in (metric for metric in self.metrics if metric.by_group):
                self.add(metric.name, f"{split}/{group}", metric.values(*parts), unit=metric.unit)
        sure = CONFIDENCE.values(answers, rows)
        if sure is None:
            return
        self.confidence[split] = sure
        self.add(CONFIDENCE.name, split, sure)
        if asks_questions:
            values = [self.right(g["text"], r) for g, r in zip(answers, rows, strict=True)]
            self.scores += _calibration(split, sure, values)
            self.coverage += [
                {"split": split, "coverage": 100 * share, "accuracy": 100 * value}
                for share, value in statistics.coverage_curve(sure, values)
            ]


def _score(
    value: float, bounds: tuple[float, float] | None, unit: str, n: int
) -> dict[str, float | str | None]:
    """What a row of the table says beside its place; shares in percent."""
    scale = 100 if unit == "share" else 1
    low, high = [None, None] if bounds is None else [scale * bound for bound in bounds]
    return {"unit": unit, "value": scale * value, "low": low, "high": high, "n": n}


def _calibration(split: str, sure: Sequence[float], values: Sequence[float]) -> Iterator[dict]:
    """Whether an answer's probability tells that it is right: calibration error, and AUROC of right
    answers against wrong ones, where there are both.

    The calibration error has no interval: few rows raise it, and resampling them raises it again.
    """
    place = {"knowledge": "", "split": split, "metric": "calibration_error"}
    yield place | _score(statistics.calibration_error(sure, values), None, "share", len(sure))
    right = [s for s, value in zip(sure, values, strict=True) if value]
    wrong = [s for s, value in zip(sure, values, strict=True) if not value]
    if right and wrong:
        yield _auroc(split, right, wrong)


def _auroc(split: str, positive: Sequence[float], negative: Sequence[float]) -> dict:
    place = {"knowledge": "", "split": split, "metric": "confidence_auroc"}
    value, bounds = (f(positive, negative) for f in (statistics.auroc, statistics.auroc_interval))
    return place | _score(value, bounds, "share", len(positive) + len(negative))


def _digest(items: Sequence[Item]) -> str:
    """Of what is asked and accepted, in order: answers to the same rows can be compared row by row."""
    asked = [[row.asked, row.assistant, row.answers, row.facts] for i in items for row in i.rows]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def answers(
    generations: Sequence[dict],
    items: Mapping[str, Sequence[Item]],
    settings: EvalConfig,
    right: Scorer,
    epochs: Mapping[str, int],
) -> list[dict]:
    """What was asked, expected and generated, and how right it is: each answer of the best and the
    last epoch."""
    found = []
    for g in generations:
        if g["epoch"] not in epochs.values():
            continue
        asked = items[g["split"]][g["item"]].rows
        wanted = expected(asked)
        line = {key: g[key] for key in ("split", "epoch", "knowledge", "item")}
        line |= {"question": asked[0].user, "expected": wanted, "answer": g["text"]}
        line |= {"right": right(g["text"], asked), "confidence": g["confidence"]}
        if settings.scoring in QUESTIONS:
            line["grade"] = grade(g["text"], wanted, settings.abstentions)
            if settings.hedges:
                line["sureness"] = sureness(g["text"], line["grade"], settings.hedges)
        found.append(line)
    return found


def to_read(answers: Sequence[dict]) -> tuple[list[str], list[list]]:
    """Columns and rows of a table of the first `ANSWERS` items of each split."""
    columns = "split epoch knowledge question expected answer right confidence".split()
    first = [line | {"expected": " | ".join(line["expected"])} for line in answers]
    return columns, [[line[c] for c in columns] for line in first if line["item"] < ANSWERS]


def _groups(rows: Sequence[Sequence[SkillRow]]) -> Iterator[tuple[str, list[int]]]:
    """`column=value` and the places of its rows, for the columns that questions are told apart by."""
    for column in GROUPED:
        groups: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            if row[0].extra.get(column) is not None:
                groups.setdefault(_group(column, row[0].extra[column]), []).append(place)
        yield from ((f"{column}={name}", groups[name]) for name in sorted(groups))


def _group(column: str, value: object) -> str:
    return views(value) if column == "s_pop" else str(value)


def views(popularity: float) -> str:
    """The bucket of a number of page views: a power of ten, as `100-999`; 0 is one of its own."""
    if not popularity:
        return str(popularity)
    power = len(str(max(1, int(popularity)))) - 1
    return f"{10**power}-{10 ** (power + 1) - 1}"


def _plugged(
    generations: Sequence[dict],
    items: Sequence[Item],
    knowledge: str,
    versions: Mapping[str, int | None],
    right: Scorer,
) -> tuple[list[float], list[float]]:
    """Agreement with the plugged-in version (the first, for the skill alone) and with the others."""
    own, other = [], []
    for g in (g for g in generations if g["knowledge"] == knowledge):
        rows = items[g["item"]].rows
        version = versions.get(knowledge)
        version = rows[0].version if version is None else version
        own.append(right(g["text"], [row for row in rows if row.version == version]))
        others = [row for row in rows if row.version != version]
        if others:
            other.append(right(g["text"], others))
    return own, other
