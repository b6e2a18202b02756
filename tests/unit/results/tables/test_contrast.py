"""Paired contrasts of policies against statsmodels and values worked out by hand."""

import functools
import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from tests.unit.results import synthetic
from workflow_scripts.core.results.tables import contrast, statistics

PAIRS = contrast.default_pairs(policies=list(synthetic.POLICIES), reference="sft", later=synthetic.LATER)


def table(extraction=None, pairs=PAIRS) -> dict[tuple, dict]:
    """The contrast table by (policy, other, cohort, measure)."""
    extraction = synthetic.extraction(probes=["fim"]) if extraction is None else extraction
    rows = contrast.summarize(extraction=extraction, utility=synthetic.utility_rows(), contrasts=pairs, confidence=0.95)
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


def test_holm_by_hand_and_unplanted_apart():
    extraction = synthetic.extraction(probes=["fim"])
    found = list(usual().values())
    assert {r["p_holm"] for r in found if r["cohort"] == "unplanted"} == {1.0}
    for measure in contrast.MEASURES:
        family = sorted((r for r in found if r["measure"] == measure and r["cohort"] != "unplanted"), key=lambda r: r["p"])
        assert len(family) == 18
        highest = 0.0
        for place, row in enumerate(family):  # Holm (1979): the k-th smallest times m - k + 1, never falling, at most 1
            highest = max(highest, min(1.0, (18 - place) * row["p"]))
            assert row["p_holm"] == pytest.approx(highest)
    alone = table(extraction[extraction["cohort"].isin(["unplanted", "sft"])])
    assert alone["ipo", "sft", "sft", "memorized"]["p_holm"] < usual()["ipo", "sft", "sft", "memorized"]["p_holm"]


def test_unplanted_rows_are_corrected_for_each_other():
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
