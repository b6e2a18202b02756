"""AUC and true positives by brute force over all pairs and thresholds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.results.tables.brute_force import area
from workflow_scripts.core.results.tables import auc, resampling, statistics

scores = st.lists(st.integers(-6, 6), min_size=1, max_size=25).map(lambda x: np.array(x, dtype=float))


@given(scores, scores)
def test_auc_by_brute_force(members, nonmembers):
    found = auc.auc(members=members, nonmembers=nonmembers)
    assert found == pytest.approx(area(members, nonmembers))
    assert auc.auc(members=nonmembers, nonmembers=members) == pytest.approx(1 - found)


@given(scores, scores, st.sampled_from([0.0, 0.01, 0.05, 0.1, 0.2, 0.29, 0.5, 1.0]))
def test_true_positives_by_brute_force(members, nonmembers, fpr):
    """Of all thresholds that at most a share fpr of the nonmembers exceeds, the one with the most members above it."""
    thresholds = [-np.inf, *nonmembers, *members]
    allowed = [t for t in thresholds if (nonmembers > t).sum() <= fpr * len(nonmembers) + 1e-9]
    assert auc.true_positives(members=members, nonmembers=nonmembers, fpr=fpr) == max((members > t).sum() for t in allowed)


def test_true_positives_by_hand():
    nonmembers = np.arange(100.0)
    found = [auc.true_positives(members=np.array([97.5, 98.0, 98.5, 99.0, 99.5]), nonmembers=nonmembers, fpr=f) for f in (0, 0.01, 0.02)]
    assert found == [1, 3, 5]  # above 99; above 98; above 97: a member that ties with the threshold is no hit
    assert auc.true_positives(members=nonmembers, nonmembers=np.arange(29, 129.0), fpr=0.29) == 0
    assert auc.true_positives(members=nonmembers + 1, nonmembers=nonmembers, fpr=0.29) == 30  # 0.29 x 100 is 28.999... in doubles


def test_the_bootstrap_takes_twins_along_and_resamples_other_canaries_apart():
    """Against resampling written out, on scores whose twins are much alike: taken apart, the interval would be far wider."""
    rng = np.random.default_rng(0)
    canary = rng.normal(0, 3, size=50)
    members, control = canary + 1 + rng.normal(0, 0.5, size=50), canary + rng.normal(0, 0.5, size=50)
    together, apart = [], []
    for _ in range(3000):
        i, j = rng.integers(0, 50, size=(2, 50))
        together.append(auc.auc(members=members[i], nonmembers=control[i]))
        apart.append(auc.auc(members=members[i], nonmembers=control[j]))
    for paired, resampled in ((True, together), (False, apart)):
        wanted = resampling.expanded(resampled=np.array(resampled), units=50, confidence=0.95)
        found = auc.auc_interval(members=members, nonmembers=control, paired=paired, confidence=0.95)
        assert found == pytest.approx(wanted, abs=0.012)
    assert np.ptp(resampling.expanded(resampled=np.array(apart), units=50, confidence=0.95)) > 0.15


def test_the_interval_of_few_members_is_expanded_as_their_number_asks():
    """8 members against 70: the plain percentiles would be narrower by a fifth."""
    rng = np.random.default_rng(2)
    members, others = rng.normal(0.5, 1, size=8), rng.normal(0, 1, size=70)
    resampled = np.array([auc.auc(members=rng.choice(members, 8), nonmembers=rng.choice(others, 70)) for _ in range(6000)])
    found = auc.auc_interval(members=members, nonmembers=others, paired=False, confidence=0.95)
    assert found == pytest.approx(resampling.expanded(resampled=resampled, units=8, confidence=0.95), abs=0.03)
    assert np.ptp(found) > 1.15 * np.ptp(np.quantile(resampled, [0.025, 0.975]))


@pytest.mark.parametrize("paired", [True, False])
def test_of_many_canaries_the_interval_goes_on_as_before(paired):
    """Beyond LARGE DeLong's interval takes over; on both sides of the border it is that of resampling, with ties."""
    for n in (statistics.LARGE, statistics.LARGE + 1):
        rng = np.random.default_rng(n)
        canary = rng.normal(size=n)
        members, others = np.round(canary + rng.normal(0.7, 1, size=n), 1), np.round(canary + rng.normal(size=n), 1)
        resampled = []
        for _ in range(1500):
            i, j = rng.integers(0, n, size=(2, n))
            resampled.append(auc.auc(members=members[i], nonmembers=others[i if paired else j]))
        low, high = np.quantile(resampled, [0.025, 0.975])
        found = auc.auc_interval(members=members, nonmembers=others, paired=paired, confidence=0.95)
        assert found == pytest.approx((low, high), abs=0.1 * (high - low))


def test_groups_of_other_sizes_and_groups_wholly_apart():
    rng = np.random.default_rng(1)
    members, others = rng.normal(1, 1, size=12), rng.normal(0, 1, size=70)
    low, high = auc.auc_interval(members=members, nonmembers=others, paired=False, confidence=0.95)
    assert 0.4 < low < area(members, others) < high <= 1
    bound = statistics.clopper_pearson(hits=8, n=8, confidence=0.95)[0]
    above, below = np.arange(8) + 100.0, np.arange(20.0)
    assert auc.auc_interval(members=above, nonmembers=below, paired=False, confidence=0.95) == (bound, 1.0)
    assert auc.auc_interval(members=-above, nonmembers=below, paired=False, confidence=0.95) == pytest.approx((0.0, 1 - bound))
