"""Minimum detectable differences are detected four times in five: by simulation, with the tests that are used."""

import math

import numpy as np
import pytest
from scipy.stats import nct, ttest_1samp
from scipy.stats import t as student

from workflow_scripts.core.results.tables import power, statistics, stratified


def _needed(n: int) -> float:
    """The effect size that a paired t test of n pairs detects with 80 % power at 5 %, by bisection of the noncentral t."""
    low, high = 0.0, 20.0
    for _ in range(80):
        middle, edge = (low + high) / 2, student.ppf(0.975, n - 1)
        power = nct.sf(edge, n - 1, middle * math.sqrt(n)) + nct.cdf(-edge, n - 1, middle * math.sqrt(n))
        low, high = (middle, high) if power < 0.8 else (low, middle)
    return low


@pytest.mark.parametrize("n", [8, 64])
def test_the_minimum_detectable_difference_is_detected_four_times_in_five(n):
    rng = np.random.default_rng(n)
    spread = rng.normal(0, 3.0, size=n)
    spread = 3.0 * (spread - spread.mean()) / spread.std(ddof=1)
    found = stratified.mean(values=spread[:, None], strata=np.zeros(n, dtype=int), confidence=0.95)
    smallest = power.detectable_mean(half_width=float(found.high - found.low) / 2, error=float(found.error))
    assert smallest == pytest.approx(3.0 * _needed(n), rel=0.03)
    p = ttest_1samp(rng.normal(smallest, 3.0, size=(4000, n)), 0, axis=1).pvalue
    assert (p < 0.05).mean() == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (0, 9), (4, 12), (10, 10)])
def test_a_share_is_detected_four_times_in_five_by_the_test_that_is_used(lost, gained):
    """64 canaries; those that differ against the trend are as common as the rarer sign."""
    observed = np.array([-1.0] * lost + [1.0] * gained + [0.0] * (64 - lost - gained))
    smallest = power.detectable_share(differences=observed, confidence=0.95)
    assert smallest == power.detectable_share(differences=-observed, confidence=0.95)
    rare = min(lost, gained) / 64
    draws = np.random.default_rng(0).multinomial(64, [rare, rare + smallest, 1 - 2 * rare - smallest], size=20_000)
    p = {(a, b): statistics.mcnemar_exact(lost=a, gained=b) for a, b, _ in {tuple(map(int, d)) for d in draws}}
    assert np.mean([p[int(a), int(b)] < 0.05 for a, b, _ in draws]) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("n", [1, 5])
def test_too_few_canaries_detect_nothing(n):
    assert power.detectable_share(differences=np.ones(n), confidence=0.95) == math.inf
