"""Really sampled attacks beside the computed probabilities: agreement where there is some, and a p that fails where there is none."""

import numpy as np
import pytest
from scipy import stats

from tests.unit.results import synthetic
from workflow_scripts.core.results.tables import sampled_attacks


def summarize(extraction, samples=100):
    options = dict(shown=synthetic.shown(), utility=synthetic.utility_rows(), sampled_attacks=samples, confidence=0.95)
    return {(r["policy"], r["cohort"], r["dose"]): r for r in sampled_attacks.summarize(extraction=extraction, **options)}


def test_shares_stand_beside_those_that_were_computed():
    """sft memorizes 20 of 32 sft canaries; of each, 61 of 100 samples are exact where 60.65 are expected."""
    row = summarize(synthetic.extraction())["sft", "sft", None]
    assert (row["n"], row["samples"], row["hits"], row["near_hits"], row["exact_samples"]) == (32, 100, 20, 20, 20 * 61)
    assert row["computed"] == pytest.approx(20 / 32) and row["expected_samples"] == pytest.approx(2000 * np.exp(-0.5))
    assert row["computed_low"] < row["computed"] < row["computed_high"] and row["p"] > 0.7


def test_only_planted_canaries_in_the_arm_that_saw_them_count():
    found = summarize(synthetic.extraction())
    assert {cohort for _, cohort, _ in found} == {"sft", "preference", "rl_prompt"} and found["sft", "sft", 4]["n"] == 8
    nothing = found["base", "sft", None]
    assert (nothing["hits"], nothing["exact_samples"], nothing["p"]) == (0, 0, 1.0)


def test_samples_that_disagree_with_the_probabilities_have_a_small_p():
    rows = synthetic.extraction(policies=["sft"], probes=["fim"])
    few, more = rows.assign(sampled_exact=rows["sampled_exact"] * 9 // 10), rows.assign(sampled_exact=rows["sampled_exact"].clip(lower=1))
    assert summarize(few)["sft", "sft", None]["p"] < 1e-6
    assert summarize(more)["sft", "preference", None]["p"] < 1e-6, "a hit where none can be"


def test_no_samples_no_rows():
    assert summarize(synthetic.extraction().assign(sampled_exact=None, sampled_near=None), samples=0) == {}


@pytest.mark.parametrize("hits", [0, 5, 20, 35, 41])
def test_p_is_that_of_the_binomial_distribution_where_all_chances_are_alike(hits):
    law = stats.binom(400, 0.05)
    exact = min(1.0, 2 * min(law.cdf(hits), law.sf(hits - 1)))
    assert sampled_attacks.hits_differ(hits=hits, chance=np.full(4, 0.05), samples=100) == pytest.approx(exact, abs=1e-12)


def test_p_is_rarely_small_where_the_probabilities_are_true():
    draw = np.random.default_rng(0)
    chance = np.concatenate([10.0 ** draw.uniform(-6, 0, 58), [0.0, 1.0]])
    p = np.array([sampled_attacks.hits_differ(hits=int(draw.binomial(100, chance).sum()), chance=chance, samples=100) for _ in range(1000)])
    assert 0.03 < (p < 0.05).mean() < 0.07


def test_of_many_units_p_is_that_of_a_normal_distribution(monkeypatch):
    chance = np.random.default_rng(1).uniform(0, 0.02, 300)
    hits = int(100 * chance.sum()) + 30
    exact = sampled_attacks.hits_differ(hits=hits, chance=chance, samples=100)
    monkeypatch.setattr(sampled_attacks, "_TERMS", 0)
    assert sampled_attacks.hits_differ(hits=hits, chance=chance, samples=100) == pytest.approx(exact, rel=0.05)
