"""Membership and reward gap by brute force over all pairs and thresholds, on twins, the held-out cohort, and scores that tell nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.results import synthetic
from tests.unit.results.test_tables import useful
from workflow_scripts.core.results import membership, statistics

scores = st.lists(st.integers(-6, 6), min_size=1, max_size=25).map(lambda x: np.array(x, dtype=float))


def table(extraction, policies=("sft",)) -> dict[tuple, dict]:
    """The membership table by (policy, cohort, dose, against)."""
    rows = membership.membership(extraction=extraction, utility=useful(list(policies)), fpr=0.01, confidence=0.95)
    found = {(r["policy"], r["cohort"], r["dose"], r["against"]): r for r in rows}
    assert len(found) == len(rows)
    return found


def area(members, nonmembers) -> float:
    """AUC, pair by pair."""
    return sum((m > n) + (m == n) / 2 for m in members for n in nonmembers) / (len(members) * len(nonmembers))


@given(scores, scores)
def test_auc_by_brute_force(members, nonmembers):
    found = membership.auc(members=members, nonmembers=nonmembers)
    assert found == pytest.approx(area(members, nonmembers))
    assert membership.auc(members=nonmembers, nonmembers=members) == pytest.approx(1 - found)


@given(scores, scores, st.sampled_from([0.0, 0.01, 0.05, 0.1, 0.2, 0.29, 0.5, 1.0]))
def test_true_positives_by_brute_force(members, nonmembers, fpr):
    """Of all thresholds that at most a share fpr of the nonmembers exceeds, the one with the most members above it."""
    thresholds = [-np.inf, *nonmembers, *members]
    allowed = [t for t in thresholds if (nonmembers > t).sum() <= fpr * len(nonmembers) + 1e-9]
    assert membership.true_positives(members=members, nonmembers=nonmembers, fpr=fpr) == max((members > t).sum() for t in allowed)


def test_true_positives_by_hand():
    nonmembers = np.arange(100.0)
    found = [
        membership.true_positives(members=np.array([97.5, 98.0, 98.5, 99.0, 99.5]), nonmembers=nonmembers, fpr=f) for f in (0, 0.01, 0.02)
    ]
    assert found == [1, 3, 5]  # above 99; above 98; above 97: a member that ties with the threshold is no hit
    assert membership.true_positives(members=nonmembers, nonmembers=np.arange(29, 129.0), fpr=0.29) == 0
    assert membership.true_positives(members=nonmembers + 1, nonmembers=nonmembers, fpr=0.29) == 30  # 0.29 x 100 is 28.999... in doubles


def test_the_bootstrap_takes_twins_along_and_resamples_the_held_out_apart():
    """Against resampling written out, on scores whose twins are much alike: taken apart, the interval would be far wider."""
    rng = np.random.default_rng(0)
    canary = rng.normal(0, 3, size=50)
    members, control = canary + 1 + rng.normal(0, 0.5, size=50), canary + rng.normal(0, 0.5, size=50)
    together, apart = [], []
    for _ in range(3000):
        i, j = rng.integers(0, 50, size=(2, 50))
        together.append(membership.auc(members=members[i], nonmembers=control[i]))
        apart.append(membership.auc(members=members[i], nonmembers=control[j]))
    for paired, resampled in ((True, together), (False, apart)):
        wanted = statistics.expanded(resampled=np.array(resampled), units=50, confidence=0.95)
        found = membership.auc_interval(members=members, nonmembers=control, paired=paired, confidence=0.95)
        assert found == pytest.approx(wanted, abs=0.012)
    assert np.ptp(statistics.expanded(resampled=np.array(apart), units=50, confidence=0.95)) > 0.15


def test_the_interval_of_few_members_is_expanded_as_their_number_asks():
    """8 members against 70: the plain percentiles would be narrower by a fifth."""
    rng = np.random.default_rng(2)
    members, others = rng.normal(0.5, 1, size=8), rng.normal(0, 1, size=70)
    resampled = np.array([membership.auc(members=rng.choice(members, 8), nonmembers=rng.choice(others, 70)) for _ in range(6000)])
    found = membership.auc_interval(members=members, nonmembers=others, paired=False, confidence=0.95)
    assert found == pytest.approx(statistics.expanded(resampled=resampled, units=8, confidence=0.95), abs=0.03)
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
            resampled.append(membership.auc(members=members[i], nonmembers=others[i if paired else j]))
        low, high = np.quantile(resampled, [0.025, 0.975])
        found = membership.auc_interval(members=members, nonmembers=others, paired=paired, confidence=0.95)
        assert found == pytest.approx((low, high), abs=0.1 * (high - low))


def test_groups_of_other_sizes_and_groups_wholly_apart():
    rng = np.random.default_rng(1)
    members, others = rng.normal(1, 1, size=12), rng.normal(0, 1, size=70)
    low, high = membership.auc_interval(members=members, nonmembers=others, paired=False, confidence=0.95)
    assert 0.4 < low < area(members, others) < high <= 1
    bound = statistics.clopper_pearson(hits=8, n=8, confidence=0.95)[0]
    above, below = np.arange(8) + 100.0, np.arange(20.0)
    assert membership.auc_interval(members=above, nonmembers=below, paired=False, confidence=0.95) == (bound, 1.0)
    assert membership.auc_interval(members=-above, nonmembers=below, paired=False, confidence=0.95) == pytest.approx((0.0, 1 - bound))


def test_membership_of_known_rows():
    found = table(synthetic.extraction(), synthetic.POLICIES)
    assert len(found) == 5 * (3 * 5 * 2 + 2)
    unplanted = [-2 - 0.05 * i for i in range(32)]
    score = lambda hits: [-0.1 if i < hits else -2 - 0.05 * i for i in range(8)]  # noqa: E731
    for policy, cohort in synthetic.RATES:
        everyone, twins = [], []
        for dose, hits in zip(synthetic.DOSES, synthetic.RATES[policy, cohort], strict=True):
            control = score(synthetic.CONTROLS.get((policy, cohort), 0) if dose == 4 else 0)
            for against, others in (("twins", control), ("unplanted", unplanted)):
                row = found[policy, cohort, dose, against]
                assert (row["members"], row["nonmembers"], row["fpr"]) == (8, len(others), 0.01)
                assert row["auc"] == pytest.approx(area(score(hits), others)) and row["auc_low"] <= row["auc"] <= row["auc_high"]
                assert row["tpr"] == sum(x > max(others) for x in score(hits)) / 8
            everyone, twins = everyone + score(hits), twins + control
        assert found[policy, cohort, None, "twins"]["auc"] == pytest.approx(area(everyone, twins))
        assert found[policy, cohort, None, "unplanted"]["auc"] == pytest.approx(area(everyone, unplanted))
    row = found["sft", "sft", 64, "twins"]
    assert (row["auc"], row["tpr"]) == (1.0, 1.0) and (row["tpr_low"], row["tpr_high"]) == statistics.clopper_pearson(
        hits=8, n=8, confidence=0.95
    )
    assert {key[3] for key in found if key[1] == "unplanted"} == {"twins"}
    assert {key[0] for key, row in found.items() if row["collapsed"]} == {"ipo"}


def test_scores_that_tell_nothing_give_half():
    """Mistake 5. A model that memorizes nothing: the same scores in both arms give exactly 0.5, random ones within the interval."""
    found = table(synthetic.extraction(["sft", "base"]), ["sft", "base"])
    twins = [row for key, row in found.items() if key[0] == "base" and key[3] == "twins"]
    assert len(twins) == 17 and {row["auc"] for row in twins} == {0.5} and {row["tpr"] for row in twins} == {0.0}
    extraction = synthetic.extraction(["sft"], probes=["fim"])
    extraction["target_logprob"] = np.random.default_rng(5).normal(-30, 5, size=len(extraction))
    whole = [row for key, row in table(extraction).items() if key[2] is None]
    assert len(whole) == 7 and all(row["auc_low"] < 0.5 < row["auc_high"] for row in whole)


def test_the_score_is_per_token_and_averaged_over_seeds():
    extraction = synthetic.extraction(["sft"], seeds=(0, 1, 2), probes=["fim"])
    extraction["target_tokens"] = np.where(extraction["canary_id"].str.endswith("1"), 6, 12)
    seen = extraction["seen"] * np.where(extraction["seed"] == 1, 5.0, -2.0)  # one seed up by 5, two down by 2
    extraction["target_logprob"] = extraction["target_tokens"] * (-6.0 + seen)
    row = table(extraction)["sft", "sft", 16, "twins"]
    assert (row["auc"], row["members"], row["nonmembers"]) == (1.0, 8, 8)


def test_the_held_out_score_is_of_the_assigned_arm_alone_as_that_of_members():
    extraction = synthetic.extraction(["sft"], probes=["fim"])
    out = extraction["cohort"] == "unplanted"
    extraction["target_logprob"] = np.where(
        out, np.where(extraction["arm"].map({"A": 1, "B": 2}) == extraction["half"], -24.0, 0.0), np.where(extraction["seen"], -22.0, -26.0)
    )
    found = table(extraction)
    assert found["sft", "sft", None, "unplanted"]["auc"] == 1.0 and found["sft", "sft", None, "twins"]["auc"] == 1.0
    extraction.loc[extraction["seen"], "target_logprob"] = -25.0
    assert table(extraction)["sft", "sft", None, "unplanted"]["auc"] == 0.0


def test_without_a_held_out_cohort_only_twins_remain():
    extraction = synthetic.extraction(["sft"], probes=["fim"])
    assert {key[3] for key in table(extraction[extraction["cohort"] != "unplanted"])} == {"twins"}


def test_reward_gap_of_known_rows():
    rows = membership.reward_gap(extraction=synthetic.extraction(["sft"]), confidence=0.95)
    found = {(r["cohort"], r["dose"]): r for r in rows}
    assert len(found) == len(rows) == 3 * 5 + 2
    base = [0.01 * i for i in range(8)]
    for dose, hits in zip(synthetic.DOSES, synthetic.RATES["sft", "sft"], strict=True):
        known = 1 if dose == 4 else 0
        seen, unseen = ([x + 0.5 * (i < n) for i, x in enumerate(base)] for n in (hits, known))
        row = found["sft", dose]
        wanted = (np.mean(seen), np.mean(unseen), np.mean(seen) - np.mean(unseen), area(seen, unseen))
        assert (row["n"], *(row[k] for k in ("mean", "control", "difference", "auc"))) == pytest.approx((8, *wanted))
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    nothing = found["preference", None]
    assert (nothing["difference"], nothing["auc"]) == (0, 0.5)
