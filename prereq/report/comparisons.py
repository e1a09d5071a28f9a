"""Which method is better than which: paired differences on the same rows, and which is called the best."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean

from prereq.evaluation import statistics
from prereq.report.collect import Line, Rows, Scored
from prereq.report.estimates import RESAMPLES, asked_alike
from prereq.runtime.console import progress

COMPARED = ("accuracy", "right", "supported")  # metrics


@dataclass(frozen=True)
class Comparison:
    """A row of `comparisons.csv`: two methods on the same rows. Shares and differences in percent.

    One seed: over its rows. All seeds (`seed` is empty): each seed's first run against its second run, the
    interval over seeds and rows, `p` over rows alone. McNemar's test is of one seed, and of rows that are
    right or wrong.
    """

    dataset: str
    model: str
    base_experiment: str  # a digest of the base model, its seed aside
    first: str
    second: str
    split: str
    metric: str
    seed: str
    seeds: int
    n: int  # rows of each seed, on average
    first_value: float
    second_value: float
    difference: float
    low: float
    high: float
    p: float  # sign flips of the rows' differences
    p_holm: float  # the same, corrected for all pairs of this split
    first_only: int | None  # rows that only the first has right
    second_only: int | None
    mcnemar_p: float | None


def every(lines: Sequence[Line]) -> list[Comparison]:
    """All pairs of methods with the same base model, on all splits that both answered."""
    jobs = []
    for place in dict.fromkeys((line.dataset, line.model, line.base) for line in lines):
        mine = [line for line in lines if (line.dataset, line.model, line.base) == place]
        splits = dict.fromkeys(s.split for line in mine for s in line.shown() if "/" not in s.split)
        jobs += [(mine, split, metric) for split in splits for metric in COMPARED]
    found: list[Comparison] = []
    with progress(
        "compare methods", sum(len(mine) * (len(mine) - 1) // 2 for mine, *_ in jobs)
    ) as advance:
        for mine, split, metric in jobs:
            pairs = []
            for first, second in combinations(mine, 2):
                pairs += compare(first, second, split, metric)
                advance()
            found += _corrected(pairs)
    return found


def compare(first: Line, second: Line, split: str, metric: str = "accuracy") -> list[Comparison]:
    """Each seed that both lines have, and all of them together where there are several.

    Empty where they did not answer the same rows. Of judged texts the rows are the topics that both
    answered.
    """
    place = first.dataset, first.model, first.base, first.name, second.name, split, metric
    runs, pairs, whole = [], [], True
    for seed, one, other in _common(first, second, split):
        rows = [run.rows.get(("", split, metric), ([], None)) for run in (one, other)]
        if len(rows[0][0]) == len(rows[1][0]) and (both := _counted(*rows)):
            whole &= len(both) == len(rows[0][0])
            runs.append(one)
            pairs.append((seed, *(list(values) for values in zip(*both, strict=True))))
    rows = [_row(place, str(seed), [pair], False) for seed, *pair in pairs]
    if len(pairs) > 1:
        same = whole and asked_alike(runs, split)
        rows.insert(0, _row(place, "", [pair for _, *pair in pairs], same))
    return rows


def _counted(one: Rows, other: Rows) -> list[tuple[float, float]]:
    """The values of the rows that count for both."""
    counts = [out_of or [1.0] * len(values) for values, out_of in (one, other)]
    rows = zip(one[0], other[0], *counts, strict=True)
    return [(a, b) for a, b, of_a, of_b in rows if of_a and of_b]


def _common(first: Line, second: Line, split: str) -> Iterator[tuple[int, Scored, Scored]]:
    """(seed, run, run) wherever both lines answered the same rows."""
    base = split if split in first.splits else split.removesuffix("_last")
    if first.splits.get(base, ...) != second.splits.get(base):
        return
    others = second.of(split)
    for seed, one in first.of(split).items():
        other = others.get(seed)
        if other and one.questions(split) == other.questions(split):
            yield seed, one, other
        elif other and None in (one.questions(split), other.questions(split)):
            yield seed, one, other  # scored by an earlier version; the digests of the files agree


def _row(
    place: tuple, seed: str, pairs: Sequence[Sequence[Sequence[float]]], same: bool
) -> Comparison:
    """The comparison of one seed's rows, or of several seeds' (`same`: all answered the same rows)."""
    differences = [[a - b for a, b in zip(one, other, strict=True)] for one, other in pairs]
    runs = [(each, [1.0] * len(each)) for each in differences]
    low, high = statistics.over_seeds(runs, RESAMPLES, same)
    rows = [difference for each in differences for difference in each]
    if same:
        rows = [fmean(of_seeds) for of_seeds in zip(*differences, strict=True)]
    if low == high:  # all rows differ alike, or none does: what so many rows can tell of others
        room = statistics.interval([0.0] * len(rows), RESAMPLES, shares=True)[1]
        low, high = max(-1.0, low - room), min(1.0, high + room)
    first, second = (fmean(fmean(pair[side]) for pair in pairs) for side in (0, 1))
    only: tuple = (None, None, None)
    if len(pairs) == 1 and {*pairs[0][0], *pairs[0][1]} <= {0.0, 1.0}:
        only = statistics.mcnemar(*pairs[0])
    values = (100 * x for x in (first, second, first - second, low, high))
    n = round(fmean(len(each) for each in differences))
    p = statistics.paired(rows, [0.0] * len(rows))
    return Comparison(*place, seed, len(pairs), n, *values, p, p, *only)


def _corrected(rows: Sequence[Comparison]) -> list[Comparison]:
    """The same with `p_holm` of all pairs: those of each seed, and those of all seeds, on their own."""
    found = list(rows)
    for seed in dict.fromkeys(row.seed for row in rows):
        places = [i for i, row in enumerate(rows) if row.seed == seed]
        for i, p in zip(places, statistics.holm([rows[i].p for i in places]), strict=True):
            found[i] = replace(rows[i], p_holm=p)
    return found


def between(pairs: Sequence[Comparison], first: Line, second: Line, split: str) -> list[Comparison]:
    """How accurate two lines are on a split, out of what `every` found, seen from the first one."""
    place = first.dataset, first.model, first.base, split, "accuracy"
    found = []
    for pair in pairs:
        if (pair.dataset, pair.model, pair.base_experiment, pair.split, pair.metric) == place:
            if (pair.first, pair.second) == (first.name, second.name):
                found.append(pair)
            elif (pair.second, pair.first) == (first.name, second.name):
                found.append(_turned(pair))
    return found


def _turned(pair: Comparison) -> Comparison:
    """The same comparison, seen from the second one."""
    return replace(
        pair,
        first=pair.second,
        second=pair.first,
        first_value=pair.second_value,
        second_value=pair.first_value,
        difference=0.0 - pair.difference,  # never -0.0
        low=0.0 - pair.high,
        high=0.0 - pair.low,
        first_only=pair.second_only,
        second_only=pair.first_only,
    )


def against_the_best_plain(
    lines: Sequence[Line], pairs: Sequence[Comparison]
) -> tuple[Line | None, str | None, list[list[Comparison]]]:
    """The best plain line, the split that is reported, and every other line's comparison with it there.

    Of each line its rows of `comparisons.csv` (`pairs`): of all seeds, then of each.
    """
    reference = best(lines, "plain")
    split = reported(reference) if reference else None
    others = [line for line in lines if line is not reference and split]
    found = [rows for line in others if (rows := between(pairs, line, reference, split))]
    return reference, split, found


def p_value(value: float | None) -> str:
    """As tables show it."""
    if value is None:
        return "–"
    return "<.0001" if value < 0.0001 else f"{value:.4f}".removeprefix("0")


def best(lines: Sequence[Line], family: str) -> Line | None:
    """The best line of a family, by accuracy on the split that selects; None without such a split.

    It is never chosen on the rows that are reported: the best of several would look better than it is.
    """
    found = [
        (fmean(s.value for s in scores), line)
        for line in lines
        if line.family == family
        and (split := line.split_of("selection"))
        and (scores := line.scores(split, "accuracy"))
    ]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def reported(line: Line) -> str | None:
    """The split on which methods are compared: of known facts, else the first without a role."""
    named = [split for split, role in line.roles.items() if role is None]
    held_out = [split for split in named if line.scores(split, "accuracy")]
    return line.split_of("known") or (held_out[0] if held_out else None)
