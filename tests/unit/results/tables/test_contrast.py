"""Paired contrasts of policies against statsmodels and values worked out by hand."""

import functools
import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tests.unit.results import synthetic
from workflow_scripts.core.results.tables import contrast, statistics

PAIRS = contrast.default_pairs(policies=list(synthetic.POLICIES), reference="sft", later=synthetic.LATER)


def table(extraction=None, pairs=PAIRS) -> dict[tuple, dict]:
    """The contrast table by (policy, other, cohort, measure)."""
    extraction = synthetic.extraction(probes=["fim"]) if extraction is None else extraction
    rows = contrast.summarize(
        extraction=extraction, utility=synthetic.utility_rows(), contrasts=pairs, endpoints=synthetic.ENDPOINTS, confidence=0.95
    )
    return {(r["policy"], r["other"], r["cohort"], r["measure"]): r for r in rows}


@functools.cache
def usual() -> dict[tuple, dict]:
    """The contrast table of the study as it is."""
    return table()


def test_default_pairs_are_later_minus_reference_and_later_minus_earlier():
    assert PAIRS == [("sft_chosen", "sft"), ("ppo", "sft"), ("ipo", "sft"), ("ppo", "sft_chosen"), ("ipo", "sft_chosen"), ("ipo", "ppo")]
    shuffled = contrast.default_pairs(policies=list(synthetic.POLICIES), reference="sft", later=["ipo", "ppo", "sft_chosen"])
    assert shuffled == PAIRS  # the order of the policies counts, not that of `later`
    assert contrast.default_pairs(policies=["base", "sft"], reference="sft", later=[]) == []


def test_differences_of_known_rates():
    found = usual()
    assert len(found) == len(PAIRS) * 4 * 3
    for (policy, other), cohort in itertools.product(PAIRS, synthetic.COHORTS[:3]):
        hits = [sum(synthetic.RATES.get((p, cohort), [0])) for p in (policy, other)]
        known = [synthetic.CONTROLS.get((p, cohort), 0) for p in (policy, other)]
        row = found[policy, other, cohort, "memorized"]
        assert (row["n"], row["seen"], row["unseen"]) == (32, (hits[0] - hits[1]) / 32, (known[0] - known[1]) / 32)
        assert row["difference"] == pytest.approx(row["seen"] - row["unseen"])
        assert row["difference"] == pytest.approx((row["difference_a"] + row["difference_b"]) / 2)  # halves are of one size
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]


def test_likelihoods_are_per_token_and_exposures_in_bits():
    found = usual()
    changed = [i for i, (a, b) in enumerate(zip(*(_hits(p) for p in ("ppo", "sft")), strict=True)) if a != b]
    assert len(changed) == 3
    rank = [i % 8 for i in changed]
    logprob, bits = (found["ppo", "sft", "sft", measure] for measure in ("target_logprob", "exposure"))
    assert logprob["seen"] == pytest.approx(-sum(2 + 0.05 * r - 0.1 for r in rank) / 32)
    assert bits["seen"] == pytest.approx(-sum(8 - (4 - r % 5) for r in rank) / 32)
    assert logprob["unseen"] == pytest.approx(-1.9 / 32)  # the canary that sft's other arm knows as well, rank 0


def _hits(policy: str) -> list[bool]:
    return [i < hits for hits in synthetic.RATES[policy, "sft"] for i in range(8)]


def drifting(drift_a: float, drift_b: float, effect: float = 0.0, seeds=(0,)):
    """Rows of sft and of a ppo that differs by a drift of each arm, whether it saw a canary or not, and an effect where it did."""
    extraction = synthetic.extraction(policies=["sft"], probes=["fim"], seeds=seeds)
    ppo = extraction.assign(policy="ppo")
    ppo["target_logprob"] += 12 * (ppo["arm"].map({"A": drift_a, "B": drift_b}) + effect * ppo["seen"])
    return pd.concat([extraction, ppo])


def test_what_changes_alike_in_both_arms_is_no_contrast():
    row = table(drifting(0.7, 0.7), pairs=[("ppo", "sft")])["ppo", "sft", "sft", "target_logprob"]
    assert (row["seen"], row["unseen"], row["difference"]) == pytest.approx((0.7, 0.7, 0)) and row["p"] > 0.99
    row = table(drifting(0.7, 0.7, effect=0.2), pairs=[("ppo", "sft")])["ppo", "sft", "sft", "target_logprob"]
    assert row["difference"] == pytest.approx(0.2) and row["p"] < 0.001


def test_arms_that_drift_apart_show_in_the_arms_and_cancel_in_the_contrast():
    for cohort in ("sft", "unplanted"):
        row = table(drifting(0.5, 0.1), pairs=[("ppo", "sft")])["ppo", "sft", cohort, "target_logprob"]
        assert (row["difference_a"], row["difference_b"], row["difference"]) == pytest.approx((0.4, -0.4, 0))
        assert row["placebo"] == (cohort == "unplanted")


def test_holm_is_over_the_endpoints_on_planted_cohorts():
    found = list(usual().values())
    family = [r for r in found if r["measure"] in synthetic.ENDPOINTS and r["cohort"] != "unplanted"]
    assert len(family) == 2 * 6 * 3 and all(r["endpoint"] and not r["placebo"] for r in family)
    wanted = multipletests([r["p"] for r in family], method="holm")[1]
    assert [r["p_holm"] for r in family] == pytest.approx(wanted)
    assert {r["p_holm"] for r in found if r["measure"] == "exposure" or r["cohort"] == "unplanted"} == {None}


def test_where_no_canary_differs_the_interval_is_not_nothing():
    row = usual()["ppo", "sft", "preference", "memorized"]
    bound = statistics.clopper_pearson(hits=0, n=32, confidence=0.95)[1]
    assert (row["difference"], row["difference_low"], row["difference_high"], row["p"]) == (0, -bound, bound, 1.0)
    assert stats.binom.sf(5, 32, row["minimum_detectable"]) == pytest.approx(0.8)  # six discordant canaries, all of one sign
    same = usual()["ppo", "sft", "preference", "exposure"]
    assert (same["difference_low"], same["difference_high"]) == (0, 0)  # they are truly the same


def test_intervals_are_of_paired_differences():
    """What canaries have in common drops out: the interval of 0.5 bits is narrow although exposures spread over 8."""
    extraction = synthetic.extraction(policies=["sft", "ppo"], probes=["fim"])
    own = {c["canary_id"]: x for c, x in zip(synthetic.canaries(), np.random.default_rng(3).uniform(0, 7, size=128), strict=True)}
    noise = np.random.default_rng(4).normal(0, 0.01, size=len(extraction))
    extraction["exposure"] = extraction["canary_id"].map(own) + 0.5 * ((extraction["policy"] == "ppo") & extraction["seen"]) + noise
    row = table(extraction, pairs=[("ppo", "sft")])["ppo", "sft", "sft", "exposure"]
    assert 0.48 < row["difference_low"] < 0.5 < row["difference_high"] < 0.52 and row["p"] < 1e-6
    assert row["minimum_detectable"] < 0.03


def test_seeds_widen_the_interval_by_what_they_differ():
    one = table(drifting(0, 0, effect=0.2), pairs=[("ppo", "sft")])["ppo", "sft", "sft", "target_logprob"]
    extraction = drifting(0, 0, effect=0.2, seeds=(0, 1, 2))
    extraction["target_logprob"] += 12 * extraction["seed"] * 0.3 * ((extraction["policy"] == "ppo") & extraction["seen"])
    row = table(extraction, pairs=[("ppo", "sft")])["ppo", "sft", "sft", "target_logprob"]
    assert (row["n"], row["seeds"], one["seeds"]) == (32, 3, 1) and row["difference"] == pytest.approx(0.5)
    wanted = statistics.t_interval(values=np.array([0.2, 0.5, 0.8]), confidence=0.95)  # canaries do not differ: seeds are all there is
    assert (row["difference_low"], row["difference_high"]) == pytest.approx(wanted)


def test_either_policy_collapsed_flags_the_row_and_pairs_can_be_chosen():
    assert {key[:2] for key, row in usual().items() if row["collapsed"]} == {("ipo", "sft"), ("ipo", "sft_chosen"), ("ipo", "ppo")}
    chosen = table(pairs=[["sft", "base"]])  # as YAML has it
    assert {key[:2] for key in chosen} == {("sft", "base")} and chosen["sft", "base", "sft", "memorized"]["seen"] == 20 / 32
    assert all(row["collapsed"] for row in table(pairs=[("sft", "ipo")]).values())
    assert table(pairs=[]) == {}


def test_policies_need_the_same_canaries_and_seeds():
    extraction = synthetic.extraction(probes=["fim"], seeds=(0, 1))
    lost = (extraction["policy"] == "ppo") & (extraction["canary_id"] == "sft-64-00")
    with pytest.raises(ValueError, match="ppo and sft were not probed with the same canaries"):
        table(extraction[~lost])
    with pytest.raises(ValueError, match="the same canaries and seeds"):
        table(extraction[(extraction["policy"] != "ppo") | (extraction["seed"] == 0)])
