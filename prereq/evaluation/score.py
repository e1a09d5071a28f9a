"""From stored generations to a table of scores with intervals: pure functions of rows."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from prereq.config import TestSplit
from prereq.data.rows import SkillRow
from prereq.evaluation import scoring
from prereq.evaluation.requests import Item
from prereq.evaluation.statistics import auroc, interval

ANSWERS = 100  # of each split, epoch and plugged-in knowledge, in the table to read
Scorer = Callable[[str, Sequence[SkillRow]], float]


def scorer(kind: str, values: Mapping[str, Sequence[str]]) -> Scorer:
    """`right(text, rows)` in [0, 1]: agreement of a text with any of the rows.

    `qa`, `final_answer`: exact match. `facts`: the share of the rows' relations told as one of them
    has it. `long_form`: whether anything was said at all, for want of a judge.
    """
    if kind == "long_form":
        return lambda text, rows: float(bool(text))
    if kind != "facts":
        match = scoring.exact_match if kind == "qa" else scoring.final_answer_match
        return lambda text, rows: float(match(text, accepted(rows)))

    def facts(text: str, rows: Sequence[SkillRow]) -> float:
        right = {r: {row.facts[r] for row in rows} for r in rows[0].facts}
        return scoring.share_right(text, right, values)

    return facts


def accepted(rows: Sequence[SkillRow]) -> list[str]:
    """Every accepted answer of the rows."""
    return [answer for row in rows for answer in row.answers]


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
    kind: str,
    right: Scorer,
    epochs: Mapping[str, int],
    versions: Mapping[str, int | None],
    resamples: int,
) -> dict:
    """`{"scores": rows of the long table, "curve": accuracy by epoch, "rows": each row's value}`.

    Shares are in percent. A split at the last epoch, where it was scored at its best as well, is
    called `<split>_last`.
    """
    scores: list[dict] = []
    curve: list[dict] = []
    by_row: dict[str, list[float]] = {}
    confidence: dict[str, list[float]] = {}

    def add(
        metric: str, split: str, values: Sequence[float], knowledge: str = "", shares: bool = True
    ) -> None:
        low, high = interval(values, resamples, shares=shares)
        percent = 100 if shares else 1
        row = {"knowledge": knowledge, "split": split, "metric": metric}
        row |= {"value": percent * fmean(values), "low": percent * low, "high": percent * high}
        scores.append(row | {"n": len(values)})

    for test in tests:
        mine = [g for g in generations if g["split"] == test.name]
        for epoch in sorted({g["epoch"] for g in mine}):
            here = [g for g in mine if g["epoch"] == epoch and not g["knowledge"]]
            values = [right(g["text"], items[test.name][g["item"]].rows) for g in here]
            if test.epochs == "all":
                curve.append({"split": test.name, "epoch": epoch, "value": 100 * fmean(values)})
            names = [test.name] if epoch == epochs["best"] or test.epochs == "last" else []
            if test.epochs in ("all", "ends") and epoch == epochs["last"]:
                names.append(f"{test.name}_last")
            for name in names if not test.plug_in else ():
                if kind == "long_form":
                    add("tokens", name, [g["tokens"] for g in here], shares=False)
                else:
                    add("accuracy", name, values)
                if kind in ("qa", "final_answer"):
                    _add_qa(add, name, here, items[test.name], values, kind)
                add("ended", name, [float(g["ended"]) for g in here])
                by_row[name] = values
                told = [g["confidence"] for g in here]
                if None not in told:  # the engine tells probabilities
                    confidence[name] = told
        if test.plug_in:
            for knowledge in sorted({g["knowledge"] for g in mine}):
                own, other = _plugged(mine, items[test.name], knowledge, versions, right)
                add("own", test.name, own, knowledge)
                if other:  # the subjects have other versions
                    add("other", test.name, other, knowledge)
    for name, values in confidence.items():
        add("confidence", name, values)
    for known in (t.name for t in tests if t.role == "known" and t.name in confidence):
        for unseen in (t.name for t in tests if t.role == "unseen" and t.name in confidence):
            value = auroc(confidence[known], confidence[unseen])
            row = {"knowledge": "", "split": f"{known}_against_{unseen}"}
            row |= {"metric": "confidence_auroc", "value": 100 * value, "low": None, "high": None}
            scores.append(row | {"n": len(confidence[known]) + len(confidence[unseen])})
    return {"scores": scores, "curve": curve, "rows": by_row}


def answers(
    generations: Sequence[dict],
    items: Mapping[str, Sequence[Item]],
    right: Scorer,
    epochs: Mapping[str, int],
) -> tuple[list[str], list[list]]:
    """Columns and rows of a table to read: what was asked, expected and said, and how right it is.

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


def _add_qa(
    add: Callable,
    split: str,
    generations: Sequence[dict],
    items: Sequence[Item],
    right: list[float],
    kind: str,
) -> None:
    """The published accuracy, abstention, wrong answers, strict match, F1; accuracy by group."""
    texts = [g["text"] for g in generations]
    rows = [items[g["item"]].rows for g in generations]
    match = scoring.published_match if kind == "qa" else scoring.published_final_match
    published = [float(match(t, accepted(r))) for t, r in zip(texts, rows, strict=True)]
    add("accuracy_published", split, published)
    abstained = [float(scoring.abstained(text)) for text in texts]
    add("abstained", split, abstained)
    add("wrong", split, [1 - r - a for r, a in zip(right, abstained, strict=True)])
    pairs = list(zip(texts, rows, strict=True))
    add("strict_match", split, [float(scoring.strict_match(t, accepted(r))) for t, r in pairs])
    add("f1", split, [scoring.f1(t, accepted(r)) for t, r in pairs])
    for column in ("type", "prop", "s_pop"):
        groups: dict[str, list[float]] = {}
        for row, value in zip(rows, right, strict=True):
            if row[0].extra.get(column) is not None:
                groups.setdefault(_group(column, row[0].extra[column]), []).append(value)
        for name in sorted(groups):
            add("accuracy", f"{split}/{column}={name}", groups[name])


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
