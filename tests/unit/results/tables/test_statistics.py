"""Exact intervals and tests against statsmodels, scipy's other ways to them, and values worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, f_oneway, permutation_test, ttest_1samp
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from workflow_scripts.core.results.tables import statistics

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


def test_sign_flips_of_equal_differences_are_mcnemars_test():
    differences = np.array([1.0] * 2 + [-1.0] * 9 + [0.0] * 40)
    found = statistics.sign_flip(differences=differences)
    assert found == pytest.approx(float(mcnemar([[0, 2], [9, 40]], exact=True).pvalue))
    assert statistics.sign_flip(differences=0.37 * differences) == found  # whatever their size
    assert statistics.sign_flip(differences=np.zeros(5)) == 1.0


@pytest.mark.parametrize("n", [3, 7, 10])
def test_few_sign_flips_are_exact_and_those_of_scipy(n):
    differences = np.random.default_rng(n).normal(0.6, 1, size=n)
    wanted = permutation_test((differences, np.zeros(n)), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples").pvalue
    assert statistics.sign_flip(differences=differences) == pytest.approx(wanted)
    assert statistics.sign_flip(differences=np.append(differences, np.zeros(30))) == pytest.approx(wanted)
    assert statistics.sign_flip(differences=-differences) == pytest.approx(wanted)


def test_three_sign_flips_by_hand():
    assert statistics.sign_flip(differences=np.array([1.0, 2.0, 4.0])) == 2 / 8  # only +++ and --- are as far out
    assert statistics.sign_flip(differences=np.array([-1.0, 2.0, 4.0])) == 4 / 8


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.4])
def test_many_sign_flips_agree_with_scipy_and_with_the_normal_distribution(shift):
    differences = np.random.default_rng(8).normal(shift, 1, size=60)
    rng = np.random.default_rng(9)
    settings = dict(permutation_type="samples", n_resamples=9999, vectorized=True, rng=rng)
    wanted = permutation_test((differences, np.zeros(60)), lambda x, y, axis: np.mean(x - y, axis=axis), **settings).pvalue
    assert statistics.sign_flip(differences=differences) == pytest.approx(wanted, abs=0.015)
    many = np.random.default_rng(10).normal(shift / 5, 1, size=600)
    normal = statistics.sign_flip(differences=many)  # more than LARGE
    random = np.random.default_rng(11).choice([-1.0, 1.0], size=(4000, 600)) @ many
    assert normal == pytest.approx((np.abs(random) >= abs(many.sum())).mean(), abs=0.025)


def test_no_p_is_zero():
    assert statistics.sign_flip(differences=np.random.default_rng(0).normal(50, 1, size=64)) == 1 / (statistics.FLIPS + 1)


def test_groups_by_hand():
    deal = dict(values=np.array([1.0, 1.0, 0.0, 0.0]), groups=np.array(["a", "a", "b", "b"]), strata=np.zeros(4))
    assert statistics.groups_differ(**deal) == pytest.approx(1 / 3, abs=0.02)  # 2 of the 6 deals part them as far
    assert statistics.groups_differ(**{**deal, "strata": np.array([0, 0, 1, 1])}) == 1.0  # the doses differ, not the groups
    assert statistics.groups_differ(**{**deal, "groups": np.full(4, "a")}) == 1.0


@pytest.mark.parametrize("shift", [0.0, 0.6])
def test_groups_in_one_stratum_are_those_of_scipy_and_many_those_of_anova(shift):
    values = np.random.default_rng(3).normal(size=60) + shift * (np.arange(60) % 4 == 0)
    groups = np.array(list("abcd"))[np.arange(60) % 4]
    found = statistics.groups_differ(values=values, groups=groups, strata=np.zeros(60))
    f = lambda *parts: f_oneway(*parts).statistic  # noqa: E731
    parts = [values[groups == name] for name in "abcd"]
    assert found == pytest.approx(permutation_test(parts, f, n_resamples=2000, alternative="greater", rng=1).pvalue, abs=0.03)
    many = dict(values=np.tile(values, 10)[:599], groups=np.tile(groups, 10)[:599])
    anova = f_oneway(*(many["values"][many["groups"] == name] for name in "abcd")).pvalue
    assert statistics.groups_differ(**many, strata=np.zeros(599)) == pytest.approx(anova)


def test_groups_of_many_units_go_on_as_before(monkeypatch):
    rng = np.random.default_rng(5)
    strata, groups = np.arange(480) % 8, np.array(list("abcd"))[np.arange(480) // 8 % 4]
    values = strata + rng.normal(size=480) + 0.35 * (groups == "a")
    dealt = statistics.groups_differ(values=values, groups=groups, strata=strata)
    monkeypatch.setattr(statistics, "LARGE", 100)
    assert 0.0001 < dealt < 0.2 and statistics.groups_differ(values=values, groups=groups, strata=strata) == pytest.approx(dealt, abs=0.01)


def test_t_interval_is_that_of_scipy():
    values = np.array([0.1, 0.4, 0.2])
    wanted = ttest_1samp(values, 0).confidence_interval(0.9)
    assert statistics.t_interval(values=values, confidence=0.9) == pytest.approx((wanted.low, wanted.high))


def test_the_interval_of_a_share_by_hand():
    """Bonett and Price: 64 canaries, 5 up and 2 down, and one more each way."""
    differences = np.array([1.0] * 5 + [-1.0] * 2 + [0.0] * 57)
    mean = 3 / 66
    error = math.sqrt((9 - 66 * mean**2) / 65 / 66)
    low, high = statistics.share_difference_interval(differences=differences, confidence=0.95)
    assert (low, high) == pytest.approx((mean - 1.99714 * error, mean + 1.99714 * error), abs=1e-5)
    assert statistics.share_difference_interval(differences=np.ones(8), confidence=0.95)[1] == 1.0


@pytest.mark.parametrize("n", [0, 1, 2, 18])
def test_holm_is_that_of_statsmodels(n):
    p = np.random.default_rng(n).beta(0.3, 2, size=n).round(2).tolist()  # with ties
    assert statistics.holm(p) == (multipletests(p, method="holm")[1].tolist() if n else [])
