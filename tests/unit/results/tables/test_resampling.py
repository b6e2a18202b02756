"""The bootstrap against resampling written out, Student's interval, and itself."""

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from workflow_scripts.core.results.tables import resampling


@pytest.mark.parametrize("units", [4, 8, 64])
def test_the_expanded_percentile_is_the_t_interval_of_a_normal_bootstrap_distribution(units):
    """Resampled means that are normal with the variance that resampling gives, (n-1)/n of s2/n, must give back Student's interval."""
    grid = norm.ppf((np.arange(200_000) + 0.5) / 200_000) * np.sqrt((units - 1) / units / units)
    half = student.ppf(0.975, units - 1) / np.sqrt(units)
    assert resampling.expanded(resampled=grid, units=units, confidence=0.95) == pytest.approx((-half, half), rel=0.01)


def test_resamples_draw_each_unit_as_often_and_every_resample_in_full():
    first, second = resampling.resamples(sizes=(40, 40))
    assert first.shape == second.shape == (resampling.RESAMPLES, 40) and (first.sum(axis=1) == 40).all()
    assert first.mean(axis=0) == pytest.approx(np.ones(40), abs=0.12) and first.var() == pytest.approx(1 - 1 / 40, abs=0.03)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.02  # independent of each other
    (alone,) = resampling.resamples(sizes=(3,))
    assert set(alone.sum(axis=1)) == {3.0} and alone.max() == 3


def test_bootstrap_of_a_mean_agrees_with_the_normal_interval_and_repeats_itself():
    values = np.random.default_rng(1).normal(3.0, 2.0, size=400)
    value, low, high = resampling.ratio_interval(numerators=values, denominators=np.ones(400), confidence=0.95)
    half = 1.96 * values.std() / 20
    assert value == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((value - half, value + half), abs=0.12 * half)
    assert resampling.ratio_interval(numerators=values, denominators=np.ones(400), confidence=0.95) == (value, low, high)


def test_bootstrap_agrees_with_resampling_written_out():
    generator = np.random.default_rng(2)
    numerators, denominators = generator.gamma(2.0, size=60), generator.integers(1, 9, size=60)
    picks = np.random.default_rng(3).integers(0, 60, size=(20000, 60))
    level = norm.cdf(np.sqrt(60 / 59) * student.ppf(0.05, 59))
    assert 0.045 < level < 0.05  # the expanded percentile
    low, high = np.quantile(numerators[picks].sum(1) / denominators[picks].sum(1), [level, 1 - level])
    value, *found = resampling.ratio_interval(numerators=numerators, denominators=denominators, confidence=0.9)
    assert value == pytest.approx(numerators.sum() / denominators.sum())
    assert found == pytest.approx([low, high], abs=0.05 * (high - low))


def test_of_many_units_the_interval_goes_on_as_before():
    """Beyond LARGE units Student's interval takes over: on both sides of the border it is that of resampling, also for a ratio."""
    generator = np.random.default_rng(4)
    for n in (resampling.LARGE, resampling.LARGE + 1):
        numerators, denominators = generator.gamma(2.0, size=n), generator.integers(1, 9, size=n)
        picks = np.random.default_rng(5).integers(0, n, size=(5000, n))
        low, high = np.quantile(numerators[picks].sum(1) / denominators[picks].sum(1), [0.025, 0.975])
        value, *found = resampling.ratio_interval(numerators=numerators, denominators=denominators, confidence=0.95)
        assert value == pytest.approx(numerators.sum() / denominators.sum())
        assert found == pytest.approx([low, high], abs=0.06 * (high - low))


def test_bootstrap_of_one_unit_is_that_unit_and_of_none_an_error():
    assert resampling.ratio_interval(numerators=np.array([6.0]), denominators=np.array([4]), confidence=0.95) == (1.5, 1.5, 1.5)
    with pytest.raises(ValueError, match="no units"):
        resampling.ratio_interval(numerators=np.array([]), denominators=np.array([]), confidence=0.95)


def test_many_units_are_resampled_as_few_are():
    values = np.random.default_rng(1).normal(size=(resampling.LARGE, 3)) + [0, 0, 1]
    values[:, 1] = values[:, 0]
    few = resampling.resampled_ratios((values, np.ones(len(values))))[0]
    many = resampling.resampled_ratios((np.concatenate([values, values]), np.ones(2 * len(values))))[0]
    assert few.shape == many.shape == (resampling.RESAMPLES, 3)
    assert many.mean(axis=0) == pytest.approx(few.mean(axis=0), abs=0.01)
    assert many.std(axis=0) * np.sqrt(2) == pytest.approx(few.std(axis=0), rel=0.08)
    assert np.array_equal(many[:, 0], many[:, 1])  # a tie stays one
