"""Intervals and tests against statsmodels, scipy's other ways to them, and values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from workflow_scripts.core.results import statistics

counts = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_clopper_pearson_is_that_of_statsmodels_and_of_scipy(count, confidence):
    hits, n = count
    found = statistics.clopper_pearson(hits=hits, n=n, confidence=confidence)
    assert found == pytest.approx(proportion_confint(hits, n, alpha=1 - confidence, method="beta"), abs=1e-10)
    exact = binomtest(hits, n).proportion_ci(confidence, method="exact")
    assert found == pytest.approx((exact.low, exact.high), abs=1e-6)


def test_no_hit_has_an_upper_bound_and_no_lower_one():
    low, high = statistics.clopper_pearson(hits=0, n=32, confidence=0.95)
    assert low == 0 and high == pytest.approx(1 - 0.025 ** (1 / 32))  # by hand: (1 - p)^32 = 0.025
    assert statistics.clopper_pearson(hits=32, n=32, confidence=0.95) == pytest.approx((1 - high, 1.0))


@given(counts, st.integers(0, 7))
def test_fractional_hits_lie_between_whole_ones(count, seeds):
    (hits, n), share = count, seeds / 7
    low, high = statistics.clopper_pearson(hits=hits * share, n=n, confidence=0.95)
    below = statistics.clopper_pearson(hits=int(hits * share), n=n, confidence=0.95)
    above = statistics.clopper_pearson(hits=min(n, int(hits * share) + 1), n=n, confidence=0.95)
    assert below[0] - 1e-12 <= low <= above[0] + 1e-12 and below[1] - 1e-12 <= high <= above[1] + 1e-12
    assert low <= hits * share / n + 1e-12 and hits * share / n - 1e-12 <= high


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_a_rate_of_nothing_or_beyond_all_is_an_error(hits, n):
    with pytest.raises(ValueError, match="a rate needs"):
        statistics.clopper_pearson(hits=hits, n=n, confidence=0.95)
    with pytest.raises(ValueError, match="no observations"):
        statistics.proportion(hits=0, n=0, units=0, confidence=0.95)


def test_repeating_every_unit_changes_no_interval():
    once = statistics.proportion(hits=5, n=16, units=16, confidence=0.95)
    assert statistics.proportion(hits=15, n=48, units=16, confidence=0.95) == pytest.approx(once)
    narrow = statistics.clopper_pearson(hits=15, n=48, confidence=0.95)
    assert narrow[1] - narrow[0] < once[2] - once[1]  # what counting the seeds as canaries would have claimed


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_that_of_statsmodels(lost, gained):
    found = statistics.mcnemar_exact(lost=lost, gained=gained)
    assert found == pytest.approx(float(mcnemar([[7, lost], [gained, 5]], exact=True).pvalue)) if lost + gained else found == 1.0


def test_mcnemar_by_hand():
    assert statistics.mcnemar_exact(lost=5, gained=0) == pytest.approx(2 * 0.5**5)
    assert statistics.mcnemar_exact(lost=3, gained=1) == pytest.approx(2 * (1 + 4) / 16)
    assert statistics.mcnemar_exact(lost=0, gained=0) == 1.0


def test_bootstrap_of_a_mean_agrees_with_the_normal_interval_and_repeats_itself():
    values = np.random.default_rng(1).normal(3.0, 2.0, size=400)
    value, low, high = statistics.ratio_interval(numerators=values, denominators=np.ones(400), confidence=0.95)
    half = 1.96 * values.std() / 20
    assert value == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((value - half, value + half), abs=0.12 * half)
    assert statistics.ratio_interval(numerators=values, denominators=np.ones(400), confidence=0.95) == (value, low, high)


def test_bootstrap_agrees_with_resampling_written_out():
    generator = np.random.default_rng(2)
    numerators, denominators = generator.gamma(2.0, size=60), generator.integers(1, 9, size=60)
    picks = np.random.default_rng(3).integers(0, 60, size=(20000, 60))
    low, high = np.quantile(numerators[picks].sum(1) / denominators[picks].sum(1), [0.05, 0.95])
    value, *found = statistics.ratio_interval(numerators=numerators, denominators=denominators, confidence=0.9)
    assert value == pytest.approx(numerators.sum() / denominators.sum())
    assert found == pytest.approx([low, high], abs=0.1 * (high - low))


def test_bootstrap_of_one_unit_is_that_unit_and_of_none_an_error():
    assert statistics.ratio_interval(numerators=np.array([6.0]), denominators=np.array([4]), confidence=0.95) == (1.5, 1.5, 1.5)
    with pytest.raises(ValueError, match="no units"):
        statistics.ratio_interval(numerators=np.array([]), denominators=np.array([]), confidence=0.95)
