"""Intervals, paired tests and calibration over rows; docs/statistics.md says how to read them."""

from collections.abc import Sequence

import numpy as np
import scipy  # its parts are loaded when they are first used

BINS = 15  # of confidence, as in Guo et al. 2017
POINTS = 20  # of an accuracy–coverage curve
AT_ONCE = 10_000_000  # numbers of rows drawn at once
FLIPS = 9999  # of a permutation test


def interval(
    values: Sequence[float],
    resamples: int,
    seed: int = 0,
    shares: bool = False,
    out_of: Sequence[float] | None = None,
) -> tuple[float, float]:
    """95 % interval of the mean of `values` (each one row's score): percentile bootstrap.

    With `out_of`, of their sum divided by the sum of `out_of`. Rows that all agree have nothing to
    resample. Where they are `shares`, in [0, 1], the Wilson score interval then says what so many rows can
    tell; else the interval is that one value.
    """
    data = np.asarray(values, dtype=float)
    if out_of is not None:
        return over_seeds([(values, out_of)], resamples, seed=seed, shares=shares)
    if np.ptp(data) == 0:
        value = float(data[0])
        return _wilson(value, len(data)) if shares else (value, value)
    result = scipy.stats.bootstrap(
        (data,),
        np.mean,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def over_seeds(
    runs: Sequence[tuple[Sequence[float], Sequence[float]]],
    resamples: int,
    same_rows: bool = False,
    seed: int = 0,
    shares: bool = False,
) -> tuple[float, float]:
    """95 % interval of the mean over runs (one a seed) of sum(values) / sum(out_of): cluster bootstrap.

    A resample draws as many runs as there are, with replacement, and then the rows of each (Davison and
    Hinkley 1997, section 3.8). With `same_rows` all runs answered the same rows in the same order, and
    share the rows drawn. Where all runs and rows agree, `shares` have the Wilson interval. A resample of
    which nothing is counted in `out_of` tells nothing and is left out.
    """
    data = [np.stack([np.asarray(v, float), np.asarray(o, float)]) for v, o in runs]
    ratios = [_ratio(each.sum(1)) for each in data]
    uniform = all(np.ptp(each[0] * each[1].sum() - each[1] * each[0].sum()) == 0 for each in data)
    if np.ptp(ratios) == 0 and uniform:
        counts = [int((each[1] > 0).sum()) for each in data]
        n = counts[0] if same_rows else sum(counts)
        value = float(ratios[0])
        return _wilson(value, n) if shares else (value, value)
    rng = np.random.default_rng(seed)
    chunk = max(1, AT_ONCE // max(each.shape[1] for each in data))
    means = [
        _resampled(data, min(chunk, resamples - done), same_rows, rng)
        for done in range(0, resamples, chunk)
    ]
    low, high = np.nanpercentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)


def _resampled(
    data: Sequence[np.ndarray], count: int, same_rows: bool, rng: np.random.Generator
) -> np.ndarray:
    """The mean over runs in each of `count` resamples."""
    chosen = rng.integers(len(data), size=(len(data), count))
    if same_rows:
        sums = _drawn(_kinds(np.concatenate(data)), count, rng).reshape(len(data), 2, count)
        ratios = np.stack([_ratio(each) for each in sums])
        return np.take_along_axis(ratios, chosen, 0).mean(0)
    drawn, kinds = np.empty((len(data), count)), [_kinds(run) for run in data]
    for place, numbers in zip(drawn, chosen, strict=True):
        for number, of_run in enumerate(kinds):
            here = numbers == number
            place[here] = _ratio(_drawn(of_run, int(here.sum()), rng))
    return drawn.mean(0)


def _kinds(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows (columns of the matrix) that differ, and how often each is there."""
    return np.unique(rows, axis=1, return_counts=True)


def _drawn(
    kinds: tuple[np.ndarray, np.ndarray], count: int, rng: np.random.Generator
) -> np.ndarray:
    """Sums over rows that are drawn with replacement, as many as there are, `count` times.

    Rows that are alike are drawn together: how often each kind comes is multinomial.
    """
    values, often = kinds
    n = int(often.sum())
    return values @ rng.multinomial(n, often / n, size=count).T


def _ratio(sums: np.ndarray) -> np.ndarray:
    """The first of two sums divided by the second; NaN where that is 0."""
    return np.divide(sums[0], sums[1], out=np.full_like(sums[0], np.nan), where=sums[1] != 0)


def pooled(values: Sequence[float], halves: Sequence[float]) -> float:
    """Half of the 95 % interval of a mean over seeds, from each seed's value and half interval.

    For scores whose rows are not kept. The variance of a seed's value is what its rows make it, or what
    the seeds show, whichever is larger.
    """
    z = scipy.stats.norm.ppf(0.975)
    within = float(np.mean(np.square(halves))) / z**2
    between = float(np.var(values, ddof=1)) if len(values) > 1 else 0.0
    return float(z * np.sqrt(max(within, between) / len(values)))


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of a share of `n` rows (Wilson 1927), 95 %."""
    z = scipy.stats.norm.ppf(0.975)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = middle - half if share > 0 else 0.0  # exactly, which rounding would miss
    high = middle + half if share < 1 else 1.0
    return float(low), float(high)


def paired(first: Sequence[float], second: Sequence[float], seed: int = 0) -> float:
    """p-value of a two-sided sign-flip permutation test: same rows, two methods.

    Exact where all rows that differ do so by the same amount (right against wrong), when it is McNemar's
    test; else from `FLIPS` random flips.
    """
    difference = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    sizes, often = np.unique(np.abs(difference[difference != 0]), return_counts=True)
    if len(sizes) == 0:
        return 1.0
    if len(sizes) == 1:
        return _fair_coin(int((difference > 0).sum()), int(often[0]))
    kept = np.random.default_rng(seed).binomial(often, 0.5, size=(FLIPS, len(sizes)))
    sums = np.abs((2 * kept - often) @ sizes)
    extreme = (sums >= abs(difference.sum()) * (1 - 1e-9)).sum()
    return float((1 + extreme) / (1 + FLIPS))


def mcnemar(first: Sequence[float], second: Sequence[float]) -> tuple[int, int, float]:
    """Rows that only the first has right, rows that only the second has, and the exact two-sided p-value.

    Of the rows on which two models differ, each would be right on half by chance (McNemar 1947, by the
    binomial distribution). Each row is right or not: raises ValueError where a value is neither 1 nor 0.
    """
    one, other = np.asarray(first, float), np.asarray(second, float)
    if not np.isin(np.concatenate([one, other]), (0.0, 1.0)).all():
        raise ValueError("McNemar's test needs rows that are right (1) or not (0)")
    mine, theirs = int((one > other).sum()), int((one < other).sum())
    return mine, theirs, _fair_coin(mine, mine + theirs)


def _fair_coin(heads: int, tosses: int) -> float:
    """Exact two-sided p-value of so many heads: binomial, which is symmetric for a fair coin."""
    return min(1.0, 2 * float(scipy.special.bdtr(min(heads, tosses - heads), tosses, 0.5)))


def holm(values: Sequence[float]) -> list[float]:
    """p-values for several comparisons at once, in the same order (Holm 1979)."""
    order = np.argsort(values)
    factors = np.arange(len(values), 0, -1)
    steps = np.maximum.accumulate(np.minimum(1.0, np.asarray(values)[order] * factors))
    found = np.empty(len(values))
    found[order] = steps
    return found.tolist()


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Probability that a positive's score is above a negative's (ties count half)."""
    u = scipy.stats.mannwhitneyu(positive, negative, alternative="greater").statistic
    return float(u) / (len(positive) * len(negative))


def auroc_interval(
    positive: Sequence[float], negative: Sequence[float]
) -> tuple[float, float] | None:
    """95 % interval of `auroc` (DeLong et al. 1988); None where a side has fewer than two rows.

    Where the sides do not overlap at all nothing varies: it is then the Wilson interval of a share of as
    many rows as the smaller side has.
    """
    one, other = np.asarray(positive, float), np.asarray(negative, float)
    if min(len(one), len(other)) < 2:
        return None
    value = auroc(one, other)
    if value in (0.0, 1.0):
        return _wilson(value, min(len(one), len(other)))
    above = _placements(one, other)  # of each positive: the share of negatives below it
    below = _placements(other, one)
    variance = above.var(ddof=1) / len(one) + below.var(ddof=1) / len(other)
    half = scipy.stats.norm.ppf(0.975) * np.sqrt(variance)
    return float(max(0.0, value - half)), float(min(1.0, value + half))


def _placements(scores: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Of each score, the share of `among` that is below it, ties counted half."""
    ordered = np.sort(among)
    sides = (np.searchsorted(ordered, scores, side) for side in ("left", "right"))
    return sum(sides) / (2 * len(among))


def calibration_error(confidence: Sequence[float], right: Sequence[float]) -> float:
    """Expected calibration error in `BINS` equal bins of confidence (Guo et al. 2017, section 2).

    The mean distance of the share right in a bin from the mean confidence there, by the bin's rows.
    """
    sure, value = np.asarray(confidence, float), np.asarray(right, float)
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [abs((value - sure)[bins == b].sum()) for b in np.unique(bins)]
    return float(sum(gaps) / len(sure))


def coverage_curve(
    confidence: Sequence[float], right: Sequence[float]
) -> list[tuple[float, float]]:
    """(share of rows answered, accuracy among them), where the least confident are not answered.

    Rows of equal confidence are answered in no order: each counts as their mean.
    """
    sure, value = np.asarray(confidence, float), np.asarray(right, float)
    _, of_level = np.unique(-sure, return_inverse=True)
    means = np.bincount(of_level, value) / np.bincount(of_level)
    ordered = np.cumsum(means[np.sort(of_level)])
    points = sorted({max(1, round(len(sure) * i / POINTS)) for i in range(1, POINTS + 1)})
    return [(count / len(sure), float(ordered[count - 1] / count)) for count in points]
