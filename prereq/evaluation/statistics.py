"""Intervals and paired tests over rows."""

from collections.abc import Sequence

import numpy as np
import scipy  # its stats are loaded when they are first used


def interval(
    values: Sequence[float], resamples: int, seed: int = 0, shares: bool = False
) -> tuple[float, float]:
    """95 % interval of the mean of `values` (each one row's score): percentile bootstrap.

    Rows that all agree have nothing to resample. Where they are `shares`, in [0, 1], the Wilson score
    interval then says what so many rows can tell; else the interval is that one value.
    """
    data = np.asarray(values, dtype=float)
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


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of a share of `n` rows (Wilson 1927), 95 %."""
    z = scipy.stats.norm.ppf(0.975)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def paired(first: Sequence[float], second: Sequence[float], seed: int = 0) -> float:
    """p-value of a two-sided sign-flip permutation test: same rows, two methods."""
    difference = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    if not difference.any():
        return 1.0
    result = scipy.stats.permutation_test(
        (difference,),
        np.mean,
        permutation_type="samples",
        n_resamples=9999,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Probability that a positive's score is above a negative's (ties count half)."""
    u = scipy.stats.mannwhitneyu(positive, negative, alternative="greater").statistic
    return float(u) / (len(positive) * len(negative))
