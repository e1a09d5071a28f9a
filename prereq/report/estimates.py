"""What the runs of a line say together: a mean over seeds with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from prereq.evaluation import statistics
from prereq.report.collect import Line, Rows, Scored

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """Shares in percent; the bounds are None where the score has none."""

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None:
            return f"{self.value:.1f}"
        return f"{self.value:.1f} ± {(self.high - self.low) / 2:.1f}"


def estimate(
    line: Line, split: str, metric: str, plugged: bool = False, knowledge: str | None = None
) -> Estimate | None:
    """The mean over seeds (of plugged-in adapters: over all of them, or of `knowledge` alone), None where
    nothing was scored.

    The 95 % interval of one seed is over its rows; of several, over seeds and rows (`statistics.over_seeds`).
    Where the rows' own values are not kept, it is made of the seeds' intervals (`statistics.pooled`).
    What was found is kept with the line.
    """
    place = split, metric, plugged, knowledge
    if place not in line.estimates:
        line.estimates[place] = _estimate(line, *place)
    return line.estimates[place]


def _estimate(
    line: Line, split: str, metric: str, plugged: bool, knowledge: str | None
) -> Estimate | None:
    scores = line.scores(split, metric, plugged)
    scores = [score for score in scores if knowledge in (None, score.knowledge)]
    if not scores:
        return None
    value = fmean(score.value for score in scores)
    if any(score.low is None for score in scores):
        return Estimate(value, None, None)
    share = scores[0].unit == "share"
    if len(scores) == 1:
        return Estimate(value, scores[0].low, scores[0].high)
    runs = line.of(split)
    rows = [_rows(run, split, metric, plugged, knowledge) for run in runs.values()]
    if not rows or not all(rows):
        halves = [(score.high - score.low) / 2 for score in scores]
        half = statistics.pooled([score.value for score in scores], halves)
        low, high = value - half, value + half
        return Estimate(value, *((max(0.0, low), min(100.0, high)) if share else (low, high)))
    scale = 100 if share else 1
    shared = asked_alike(list(runs.values()), split)
    low, high = statistics.over_seeds(rows, RESAMPLES, shared, shares=share)
    return Estimate(value, scale * low, scale * high)


def asked_alike(runs: Sequence[Scored], split: str) -> bool:
    """Whether these runs are known to have answered the same questions in the same order."""
    asked = {run.questions(split) for run in runs}
    return len(asked) == 1 and None not in asked


def _rows(
    run: Scored, split: str, metric: str, plugged: bool, knowledge: str | None
) -> Rows | None:
    """A value a row, averaged over plugged-in adapters, and what it is out of."""
    found = [
        rows
        for (name, s, m), rows in sorted(run.rows.items())
        if (bool(name), s, m) == (plugged, split, metric) and knowledge in (None, name)
    ]
    if not found or len({len(values) for values, _ in found}) > 1:
        return None
    if len(found) == 1:
        values, out_of = found[0]
        return values, out_of or [1.0] * len(values)
    return [fmean(each) for each in zip(*(v for v, _ in found), strict=True)], [1.0] * len(
        found[0][0]
    )
