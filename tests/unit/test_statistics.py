"""Intervals over rows and seeds, paired tests, calibration: against what they must be."""

import numpy as np
import pytest
from scipy import stats

from prereq.evaluation.statistics import (
    auroc,
    auroc_interval,
    calibration_error,
    coverage_curve,
    holm,
    interval,
    mcnemar,
    over_seeds,
    paired,
    pooled,
)


def ones(values) -> list[float]:
    return [1.0] * len(values)


def test_one_run_has_the_interval_of_its_rows():
    values = [1.0] * 30 + [0.0] * 20
    one = over_seeds([(values, ones(values))], 4000)
    assert one == pytest.approx(interval(values, 4000), abs=0.03)


def test_runs_that_differ_widen_the_interval():
    alike = [[1.0] * 150 + [0.0] * 150] * 3
    differing = [[1.0] * k + [0.0] * (300 - k) for k in (60, 150, 240)]

    def width(runs) -> float:
        low, high = over_seeds([(run, ones(run)) for run in runs], 2000)
        return high - low

    assert width(differing) > 3 * width(alike)


def test_the_same_rows_in_every_seed_are_drawn_together():
    """Three seeds that agree on every row tell no more than one does."""
    rows = [1.0] * 40 + [0.0] * 60
    runs = [(rows, ones(rows))] * 3
    low, high = over_seeds(runs, 4000, same_rows=True)
    alone = interval(rows, 4000)
    assert (low, high) == pytest.approx(alone, abs=0.02)
    apart = over_seeds(runs, 4000)
    assert apart[1] - apart[0] < 0.75 * (high - low)


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_intervals_hold_the_truth_about_as_often_as_they_say(seeds):
    """Rows and seeds drawn 200 times: the truth is inside in at least nine of ten intervals."""
    rng = np.random.default_rng(seeds)
    inside = 0
    for _ in range(200):
        chances = np.clip(0.6 + 0.03 * rng.standard_normal(seeds), 0, 1)
        if seeds == 1:
            chances[:] = 0.6
        runs = [(rng.random(200) < chance).astype(float) for chance in chances]
        low, high = over_seeds([(run, ones(run)) for run in runs], 400)
        inside += low <= 0.6 <= high
    assert inside >= 180


def test_ratios_are_resampled_whole():
    values, out_of = [1.0, 0.0, 0.0, 1.0] * 20, [1.0, 1.0, 0.0, 1.0] * 20
    low, high = interval(values, 2000, out_of=out_of)
    assert low < 2 / 3 < high and low > 0.5 and high < 0.8
    assert interval([2.0] * 9, 100, shares=True, out_of=[2.0] * 9) == pytest.approx(
        tuple(stats.binomtest(9, 9).proportion_ci(method="wilson")), abs=1e-12
    )


def test_seeds_without_rows_are_pooled_by_what_differs_most():
    z = stats.norm.ppf(0.975)
    assert pooled([50.0, 50.0, 50.0, 50.0], [4.0] * 4) == pytest.approx(2.0)
    spread = [40.0, 50.0, 60.0]
    assert pooled(spread, [0.1] * 3) == pytest.approx(z * 10 / 3**0.5)
    assert pooled([50.0], [4.0]) == pytest.approx(4.0)


def test_mcnemar_is_exact():
    first = [1.0] * 12 + [0.0] * 3 + [1.0] * 20
    second = [0.0] * 12 + [1.0] * 3 + [1.0] * 20
    # Two-sided: twice the chance of at most 3 heads of 15.
    expected = 2 * sum(stats.binom.pmf(k, 15, 0.5) for k in range(4))
    assert mcnemar(first, second) == (12, 3, pytest.approx(expected))
    assert mcnemar(second, first)[:2] == (3, 12)
    assert mcnemar(first, first) == (0, 0, 1.0)
    with pytest.raises(ValueError, match="right"):
        mcnemar([0.5], [1.0])


def test_many_comparisons_are_corrected_in_their_order():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_a_pair_of_methods_is_told_apart_by_rows():
    assert paired([1.0] * 30, [0.0] * 30) < 0.01


def test_auroc_has_delongs_interval():
    rng = np.random.default_rng(0)
    right, wrong = rng.normal(1, 1, 300), rng.normal(0, 1, 200)
    low, high = auroc_interval(right, wrong)
    value = auroc(right, wrong)
    drawn = [auroc(rng.choice(right, 300), rng.choice(wrong, 200)) for _ in range(1000)]
    assert low < value < high
    assert (low, high) == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.012)
    assert auroc_interval([1.0], [0.0, 0.5]) is None
    low, high = auroc_interval([2.0, 3.0], [0.0, 1.0])
    assert high == 1.0 and low < 0.5  # four rows can't tell more


def test_calibration_error_by_hand():
    # Two bins: 0.95 with 3 of 4 right, and 0.25 with 1 of 2.
    confidence = [0.95] * 4 + [0.25] * 2
    right = [1.0, 1.0, 1.0, 0.0, 1.0, 0.0]
    expected = (4 * abs(0.75 - 0.95) + 2 * abs(0.5 - 0.25)) / 6
    assert calibration_error(confidence, right) == pytest.approx(expected)
    assert calibration_error([1.0, 1.0], [1.0, 1.0]) == 0.0
    assert calibration_error([0.0, 1.0], [1.0, 0.0]) == 1.0


def test_coverage_answers_the_most_confident_first():
    curve = coverage_curve([0.9, 0.8, 0.2, 0.1], [1.0, 1.0, 0.0, 1.0])
    assert curve == [(0.25, 1.0), (0.5, 1.0), (0.75, pytest.approx(2 / 3)), (1.0, 0.75)]


def test_rows_of_equal_confidence_are_answered_in_no_order():
    for right in ([1.0, 0.0], [0.0, 1.0]):
        assert coverage_curve([0.5, 0.5], right) == [(0.5, 0.5), (1.0, 0.5)]
