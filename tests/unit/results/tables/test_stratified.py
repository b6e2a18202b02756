"""Means and rates over canaries and seeds against scipy, statsmodels and values worked out by hand."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from workflow_scripts.core.results.tables import stratified
from workflow_scripts.core.results.tables.statistics import clopper_pearson, share_difference_interval


def mean(values, strata=None, confidence=0.95, bound=None):
    values = np.asarray(values, dtype=float)
    values = values[:, None] if values.ndim == 1 else values
    strata = np.zeros(len(values), dtype=int) if strata is None else strata
    return stratified.mean(values=values, strata=strata, confidence=confidence, bound=bound)


@pytest.mark.parametrize("n", [2, 5, 64])
def test_one_stratum_is_students_t(n):
    values = np.random.default_rng(n).normal(0.3, 1, n)
    found, t = mean(values), DescrStatsW(values)
    assert (found.low, found.high) == pytest.approx(t.tconfint_mean()) and found.p == pytest.approx(t.ttest_mean()[1], rel=1e-6)
    assert stats.ttest_1samp(values, 0).pvalue == pytest.approx(float(found.p), rel=1e-6)


def test_two_strata_are_welchs_t():
    """The mean of two strata of one size is half the sum of their means, with the degrees of freedom of Welch and Satterthwaite."""
    rng = np.random.default_rng(1)
    one, two = rng.normal(2, 1, 12), rng.normal(-1, 3, 12)
    welch = stats.ttest_ind(one, -two, equal_var=False)
    found = mean(np.concatenate([one, two]), strata=np.repeat([0, 1], 12))
    assert found.p == pytest.approx(welch.pvalue, rel=1e-6)
    interval = welch.confidence_interval(0.95)
    assert (2 * found.low, 2 * found.high) == pytest.approx((interval.low, interval.high))
    assert found.error < mean(np.concatenate([one, two])).error  # what strata differ by is no noise


def test_seeds_alone_are_students_t_over_seeds():
    seeds = np.array([0.1, 0.5, 0.2])
    found = mean(np.tile(seeds, (8, 1)))
    wanted = stats.ttest_1samp(seeds, 0)
    assert (found.low, found.high) == pytest.approx(tuple(wanted.confidence_interval())) and found.p == pytest.approx(
        wanted.pvalue, rel=1e-6
    )


def test_canaries_and_seeds_by_hand():
    """Cochran and Cox: both quantiles of t, weighted by their variances."""
    values = np.random.default_rng(2).normal(size=(10, 3)) + np.array([0.0, 0.4, 0.9])
    of_canaries, of_seeds = values.mean(axis=1).var(ddof=1) / 10, values.mean(axis=0).var(ddof=1) / 3
    total = of_canaries + of_seeds
    critical = (of_canaries * stats.t.ppf(0.975, 9) + of_seeds * stats.t.ppf(0.975, 2)) / total
    found = mean(values)
    assert found.high - found.value == pytest.approx(critical * np.sqrt(total))


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("bound", [None, 1.0])
def test_the_interval_leaves_out_zero_where_p_is_small(seeds, bound):
    rng = np.random.default_rng(4)
    for values in rng.choice([-1.0, 0.0, 0.0, 1.0, 1.0], size=(200, 16, seeds)):
        found = mean(values, strata=np.arange(16) % 4, bound=bound)
        assert (found.p < 0.05) == (not found.low <= 0 <= found.high) and 0 < found.p <= 1


@pytest.mark.parametrize(("up", "down"), [(5, 2), (0, 6), (20, 1)])
def test_shares_in_one_stratum_are_bonett_and_prices(up, down):
    values = np.array([1.0] * up + [-1.0] * down + [0.0] * (64 - up - down))
    found = mean(values, bound=1.0)
    assert (found.low, found.high) == pytest.approx(share_difference_interval(differences=values, confidence=0.95), abs=0.005)


def test_worlds_at_once_are_worlds_one_by_one():
    values, strata = np.random.default_rng(5).normal(size=(3, 12, 2)), np.arange(12) % 3
    together = stratified.mean(values=values, strata=strata, confidence=0.9, bound=None)
    for place, world in enumerate(values):
        assert [float(part[place]) for part in together] == pytest.approx([float(part) for part in mean(world, strata, 0.9)])


def test_one_canary_says_nothing_and_none_is_an_error():
    assert (mean([0.4]).low, mean([0.4]).high, mean([0.4]).p) == (-np.inf, np.inf, 1)
    assert (mean([1.0], bound=1.0).low, mean([1.0], bound=1.0).high) == (-1, 1)
    with pytest.raises(ValueError, match="no canaries"):
        mean(np.zeros((0, 1)))


def test_strata_are_as_fine_as_two_canaries_in_each_allow():
    dose, half, secret = np.array([1, 1, 1, 1, 4, 4, 4, 4]), np.array([1, 1, 2, 2] * 2), np.array(list("abababab"))
    assert stratified.strata(dose, half).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert stratified.strata(dose, half, secret).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]  # one canary of each type
    assert stratified.strata(np.arange(8), half).tolist() == [0] * 8


def test_rates_of_one_seed_are_exact_and_of_alike_seeds_the_same():
    hits = np.arange(16)[:, None] < 5
    for seeds in (1, 2, 4):
        found = stratified.rate(hits=np.tile(hits, seeds), of=np.ones((16, seeds), dtype=bool), confidence=0.95)
        assert [float(part) for part in found] == pytest.approx([5 / 16, *clopper_pearson(hits=5, n=16, confidence=0.95)])


def test_seeds_that_differ_widen_a_rate():
    hits = np.arange(16)[:, None] < np.array([2, 5, 8])
    of = np.ones((16, 3), dtype=bool)
    rate, low, high = stratified.rate(hits=hits, of=of, confidence=0.95)
    exact = clopper_pearson(hits=5, n=16, confidence=0.95)
    assert rate == pytest.approx(5 / 16) and low < exact[0] and high > exact[1]


def test_a_ratio_is_that_of_the_sums():
    tops, bottoms = np.array([[1.0], [0.0], [2.0]]), np.array([[1.0], [1.0], [4.0]])
    assert stratified.ratio_values(tops, bottoms).mean() == pytest.approx(3 / 6)
