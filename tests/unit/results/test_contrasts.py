"""Paired contrasts of policies against statsmodels, simulation and values worked out by hand."""

import functools
import itertools
import math

import numpy as np
import pytest
from scipy import stats
from scipy.stats import nct, ttest_1samp
from scipy.stats import t as student
from statsmodels.stats.contingency_tables import mcnemar

from tests.unit.results import synthetic
from tests.unit.results.test_tables import useful
from workflow_scripts.core.results import contrasts, statistics

PAIRS = contrasts.default_pairs(policies=list(synthetic.POLICIES), reference="sft", later=synthetic.LATER)


def table(extraction=None, pairs=PAIRS) -> dict[tuple, dict]:
    """The contrast table by (policy, other, cohort, measure)."""
    extraction = synthetic.extraction(probes=["fim"]) if extraction is None else extraction
    rows = contrasts.contrast(extraction=extraction, utility=useful(), contrasts=pairs, confidence=0.95)
    return {(r["policy"], r["other"], r["cohort"], r["measure"]): r for r in rows}


@functools.cache
def usual() -> dict[tuple, dict]:
    """The contrast table of the study as it is."""
    return table()


def test_default_pairs_are_later_minus_reference_and_later_minus_earlier():
    assert PAIRS == [("sft_chosen", "sft"), ("ppo", "sft"), ("ipo", "sft"), ("ppo", "sft_chosen"), ("ipo", "sft_chosen"), ("ipo", "ppo")]
    shuffled = contrasts.default_pairs(policies=list(synthetic.POLICIES), reference="sft", later=["ipo", "ppo", "sft_chosen"])
    assert shuffled == PAIRS  # the order of the policies counts, not that of `later`
    assert contrasts.default_pairs(policies=["base", "sft"], reference="sft", later=[]) == []


def test_differences_of_known_rates():
    found = usual()
    assert len(found) == len(PAIRS) * 4 * 3
    for (policy, other), cohort in itertools.product(PAIRS, synthetic.COHORTS[:3]):
        hits = [sum(synthetic.RATES.get((p, cohort), [0])) for p in (policy, other)]
        row = found[policy, other, cohort, "memorized"]
        assert row["n"] == 32 and row["difference"] == pytest.approx((hits[0] - hits[1]) / 32)
        before, after = (sum(synthetic.RATES.get((p, cohort), [0, 0, 0, 0])[i] for i in range(4)) for p in (other, policy))
        nested = abs(after - before)  # the first canaries are memorized in every policy, so only one direction changes
        assert row["p"] == pytest.approx(float(mcnemar([[0, nested], [0, 0]], exact=True).pvalue) if nested else 1.0)
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]
    assert (
        found["ipo", "ppo", "sft", "memorized"]["difference"] == -14 / 32
        and found["ppo", "sft", "sft", "memorized"]["difference"] == -3 / 32
    )


def test_likelihoods_are_per_token_and_exposures_in_bits_and_both_of_the_assigned_arm():
    found = usual()
    changed = [i for i, (a, b) in enumerate(zip(*(_hits(p) for p in ("ppo", "sft")), strict=True)) if a != b]
    assert len(changed) == 3
    rank = [i % 8 for i in changed]
    logprob, bits = (found["ppo", "sft", "sft", measure]["difference"] for measure in ("target_logprob", "exposure"))
    assert logprob == pytest.approx(-sum(2 + 0.05 * r - 0.1 for r in rank) / 32)
    assert bits == pytest.approx(-sum(8 - (4 - r % 5) for r in rank) / 32)


def _hits(policy: str) -> list[bool]:
    return [i < hits for hits in synthetic.RATES[policy, "sft"] for i in range(8)]


def test_holm_by_hand_and_heldout_apart():
    extraction = synthetic.extraction(probes=["fim"])
    found = list(usual().values())
    assert {r["p_holm"] for r in found if r["cohort"] == "unplanted"} == {1.0}
    for measure in contrasts.MEASURES:
        family = sorted((r for r in found if r["measure"] == measure and r["cohort"] != "unplanted"), key=lambda r: r["p"])
        assert len(family) == 18
        highest = 0.0
        for place, row in enumerate(family):  # Holm (1979): the k-th smallest times m - k + 1, never falling, at most 1
            highest = max(highest, min(1.0, (18 - place) * row["p"]))
            assert row["p_holm"] == pytest.approx(highest)
    alone = table(extraction[extraction["cohort"].isin(["unplanted", "sft"])])
    assert alone["ipo", "sft", "sft", "memorized"]["p_holm"] < usual()["ipo", "sft", "sft", "memorized"]["p_holm"]


def test_heldout_rows_are_held_to_each_other():
    extraction = synthetic.extraction(probes=["fim"])
    odd = (extraction["policy"] == "ppo") & (extraction["cohort"] == "unplanted")
    extraction.loc[odd, "exposure"] += np.random.default_rng(0).normal(0.5, 1, odd.sum())
    found = table(extraction)
    raw = [found[*pair, "unplanted", "exposure"]["p"] for pair in PAIRS]
    smallest = min(range(6), key=raw.__getitem__)
    assert raw[smallest] < 0.2 and found[*PAIRS[smallest], "unplanted", "exposure"]["p_holm"] == pytest.approx(min(1, 6 * raw[smallest]))


def test_where_no_canary_differs_the_interval_is_not_nothing():
    row = usual()["ppo", "sft", "preference", "memorized"]
    bound = statistics.clopper_pearson(hits=0, n=32, confidence=0.95)[1]
    assert (row["difference"], row["difference_low"], row["difference_high"], row["p"]) == (0, -bound, bound, 1.0)
    assert stats.binom.sf(5, 32, row["minimum_detectable"]) == pytest.approx(0.8)  # six discordant canaries, all of one sign
    same = usual()["ppo", "sft", "preference", "exposure"]
    assert (same["difference_low"], same["difference_high"]) == (0, 0)  # they are truly the same


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
    smallest = contrasts.detectable_mean(differences=spread, confidence=0.95)
    assert smallest == pytest.approx(3.0 * _needed(n), rel=1e-3)
    p = ttest_1samp(rng.normal(smallest, 3.0, size=(4000, n)), 0, axis=1).pvalue
    assert (p < 0.05).mean() == pytest.approx(0.8, abs=0.025)


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (0, 9), (4, 12), (10, 10)])
def test_a_share_is_detected_four_times_in_five_by_the_test_that_is_used(lost, gained):
    """64 canaries; those that differ against the trend are as common as the rarer sign."""
    observed = np.array([-1.0] * lost + [1.0] * gained + [0.0] * (64 - lost - gained))
    smallest = contrasts.detectable_share(differences=observed, confidence=0.95)
    assert smallest == contrasts.detectable_share(differences=-observed, confidence=0.95)
    rare = min(lost, gained) / 64
    draws = np.random.default_rng(0).multinomial(64, [rare, rare + smallest, 1 - 2 * rare - smallest], size=20_000)
    p = {(a, b): statistics.mcnemar_exact(lost=a, gained=b) for a, b, _ in {tuple(map(int, d)) for d in draws}}
    assert np.mean([p[int(a), int(b)] < 0.05 for a, b, _ in draws]) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("n", [1, 5])
def test_too_few_canaries_detect_nothing(n):
    assert contrasts.detectable_share(differences=np.ones(n), confidence=0.95) == math.inf
    assert n > 1 or contrasts.detectable_mean(differences=np.ones(n), confidence=0.95) == math.inf


def test_the_interval_of_a_share_by_hand():
    """Bonett and Price: 64 canaries, 5 up and 2 down, and one more each way."""
    differences = np.array([1.0] * 5 + [-1.0] * 2 + [0.0] * 57)
    mean = 3 / 66
    error = math.sqrt((9 - 66 * mean**2) / 65 / 66)
    low, high = contrasts.difference_interval(differences=differences, is_share=True, confidence=0.95)
    assert (low, high) == pytest.approx((mean - 1.99714 * error, mean + 1.99714 * error), abs=1e-5)
    assert contrasts.difference_interval(differences=np.ones(8), is_share=True, confidence=0.95)[1] == 1.0


def test_intervals_are_of_paired_differences():
    """What canaries have in common drops out: the interval of 0.5 bits is narrow although exposures spread over 8."""
    extraction = synthetic.extraction(policies=["sft", "ppo"], probes=["fim"])
    own = {c["canary_id"]: x for c, x in zip(synthetic.canaries(), np.random.default_rng(3).uniform(0, 7, size=128), strict=True)}
    noise = np.random.default_rng(4).normal(0, 0.01, size=len(extraction))
    extraction["exposure"] = extraction["canary_id"].map(own) + 0.5 * (extraction["policy"] == "ppo") + noise
    row = table(extraction, pairs=[("ppo", "sft")])["ppo", "sft", "sft", "exposure"]
    assert 0.48 < row["difference_low"] < 0.5 < row["difference_high"] < 0.52 and row["p"] == 1 / 10_000
    assert row["minimum_detectable"] < 0.02


def test_seeds_are_averaged_within_a_canary_and_give_an_interval_of_their_own():
    once = usual()
    extraction = synthetic.extraction(probes=["fim"], seeds=(0, 1, 2))
    shift = extraction["seed"].map({0: 0.0, 1: 0.3, 2: 0.6}) * (extraction["policy"] == "ppo")
    extraction["exposure"] += shift
    row, before = table(extraction)["ppo", "sft", "sft", "exposure"], once["ppo", "sft", "sft", "exposure"]
    assert (row["n"], row["seeds"], before["seeds"]) == (32, 3, 1)
    assert before["seed_low"] is before["seed_high"] is None
    assert row["difference"] == pytest.approx(before["difference"] + 0.3)
    wanted = statistics.t_interval(values=before["difference"] + np.array([0.0, 0.3, 0.6]), confidence=0.95)
    assert (row["seed_low"], row["seed_high"]) == pytest.approx(wanted)
    same = table(synthetic.extraction(probes=["fim"], seeds=(0, 1, 2)))["ipo", "ppo", "sft", "memorized"]
    for key in ("n", "difference", "difference_low", "difference_high", "p", "minimum_detectable"):
        assert same[key] == pytest.approx(once["ipo", "ppo", "sft", "memorized"][key])


def test_either_policy_collapsed_flags_the_row_and_pairs_can_be_chosen():
    assert {key[:2] for key, row in usual().items() if row["collapsed"]} == {("ipo", "sft"), ("ipo", "sft_chosen"), ("ipo", "ppo")}
    chosen = table(pairs=[["sft", "base"]])  # as YAML has it
    assert {key[:2] for key in chosen} == {("sft", "base")} and chosen["sft", "base", "sft", "memorized"]["difference"] == 20 / 32
    assert all(row["collapsed"] for row in table(pairs=[("sft", "ipo")]).values())
    assert table(pairs=[]) == {}


def test_policies_need_the_same_canaries_and_seeds():
    extraction = synthetic.extraction(probes=["fim"], seeds=(0, 1))
    lost = (extraction["policy"] == "ppo") & (extraction["canary_id"] == "sft-64-00")
    with pytest.raises(ValueError, match="ppo and sft were not probed with the same canaries"):
        table(extraction[~lost])
    with pytest.raises(ValueError, match="the same canaries and seeds"):
        table(extraction[(extraction["policy"] != "ppo") | (extraction["seed"] == 0)])
