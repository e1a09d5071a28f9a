"""From stored generations to a table of scores with intervals: pure functions of rows."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from prereq.config import TestSplit
from prereq.data.rows import SkillRow
from prereq.evaluation.metrics import CONFIDENCE, Scorer, accepted, metrics_of
from prereq.evaluation.requests import Item
from prereq.evaluation.statistics import auroc, interval

QUESTIONS = ("qa", "final_answer")  # kinds of scoring
GROUPED = ("type", "prop", "s_pop")  # columns of questions
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
    scoring_rule: str,
    right: Scorer,
    epochs: Mapping[str, int],
    versions: Mapping[str, int | None],
    resamples: int,
) -> dict:
    """`{"scores": rows of the long table, "curve": accuracy by epoch, "rows": each row's value}`.

    Shares are in percent. A split at the last epoch, where it was scored at its best as well, is
    called `<split>_last`.
    """
    metrics = metrics_of(scoring_rule, right)
    scores: list[dict] = []
    curve: list[dict] = []
    by_row: dict[str, list[float]] = {}
    confidence: dict[str, list[float]] = {}

    def add(
        name: str, split: str, values: Sequence[float], knowledge: str = "", unit: str = "share"
    ) -> None:
        low, high = interval(values, resamples, shares=unit == "share")
        scale = 100 if unit == "share" else 1
        row = {"knowledge": knowledge, "split": split, "metric": name, "unit": unit}
        row |= {"value": scale * fmean(values), "low": scale * low, "high": scale * high}
        scores.append(row | {"n": len(values)})

    for test in tests:
        mine = [g for g in generations if g["split"] == test.name]
        for epoch in sorted({g["epoch"] for g in mine}):
            here = [g for g in mine if g["epoch"] == epoch and not g["knowledge"]]
            rows = [items[test.name][g["item"]].rows for g in here]
            values = [right(g["text"], r) for g, r in zip(here, rows, strict=True)]
            if test.epochs == "all":
                curve.append({"split": test.name, "epoch": epoch, "value": 100 * fmean(values)})
            names = [test.name] if epoch == epochs["best"] or test.epochs == "last" else []
            if test.epochs in ("all", "ends") and epoch == epochs["last"]:
                names.append(f"{test.name}_last")
            for name in names if not test.plug_in else ():
                for metric in metrics:
                    add(metric.name, name, metric.values(here, rows), unit=metric.unit)
                for group, own in _groups(rows, values) if scoring_rule in QUESTIONS else ():
                    add("accuracy", f"{name}/{group}", own)
                by_row[name] = values
                if (sure := CONFIDENCE.values(here, rows)) is not None:
                    confidence[name] = sure
        if test.plug_in:
            for knowledge in sorted({g["knowledge"] for g in mine}):
                own, other = _plugged(mine, items[test.name], knowledge, versions, right)
                add("own", test.name, own, knowledge)
                if other:  # the subjects have other versions
                    add("other", test.name, other, knowledge)
    for name, values in confidence.items():
        add(CONFIDENCE.name, name, values)
    for known in (t.name for t in tests if t.role == "known" and t.name in confidence):
        for unseen in (t.name for t in tests if t.role == "unseen" and t.name in confidence):
            value = 100 * auroc(confidence[known], confidence[unseen])
            row = {"knowledge": "", "split": f"{known}_against_{unseen}", "unit": "share"}
            row |= {"metric": "confidence_auroc", "value": value, "low": None, "high": None}
            scores.append(row | {"n": len(confidence[known]) + len(confidence[unseen])})
    return {"scores": scores, "curve": curve, "rows": by_row}


def answers(
    generations: Sequence[dict],
    items: Mapping[str, Sequence[Item]],
    right: Scorer,
    epochs: Mapping[str, int],
) -> tuple[list[str], list[list]]:
    """Columns and rows of a table to read: what was asked, expected and generated, and how right it is.

    The first `ANSWERS` items of each split, as answered at the best and at the last epoch.
    """
    rows = []
    for g in generations:
        if g["item"] >= ANSWERS or g["epoch"] not in epochs.values():
            continue
        asked = items[g["split"]][g["item"]].rows
        place = [g["split"], g["epoch"], g["knowledge"], asked[0].user]
        expected = " | ".join(dict.fromkeys(accepted(asked) or [row.assistant for row in asked]))
        rows.append([*place, expected, g["text"], right(g["text"], asked), g["confidence"]])
    columns = "split epoch knowledge question expected answer right confidence".split()
    return columns, rows


def _groups(
    rows: Sequence[Sequence[SkillRow]], values: Sequence[float]
) -> Iterator[tuple[str, list[float]]]:
    """`column=value` and the values of its rows, for the columns that questions are told apart by."""
    for column in GROUPED:
        groups: dict[str, list[float]] = {}
        for row, value in zip(rows, values, strict=True):
            if row[0].extra.get(column) is not None:
                groups.setdefault(_group(column, row[0].extra[column]), []).append(value)
        yield from ((f"{column}={name}", groups[name]) for name in sorted(groups))


def _group(column: str, value: object) -> str:
    """The bucket of a row: powers of ten of its page views, else the value itself."""
    if column != "s_pop":
        return str(value)
    power = len(str(max(1, int(value)))) - 1
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
