"""Membership of synthetic rows: twins, the unplanted cohort, and scores that tell nothing."""

import numpy as np
import pytest

from tests.unit.results import synthetic
from tests.unit.results.tables.brute_force import area
from workflow_scripts.core.results.tables import membership, statistics


def table(extraction, policies=("sft",), score=membership.LOGPROB) -> dict[tuple, dict]:
    """The membership table by (policy, cohort, dose, against), of one score."""
    options = dict(shown=synthetic.shown(), utility=synthetic.utility_rows(list(policies)), fpr=0.01, confidence=0.95)
    rows = membership.summarize(extraction=extraction, **options)
    found = {(r["score"], r["policy"], r["cohort"], r["dose"], r["against"]): r for r in rows}
    assert len(found) == len(rows)
    return {key[1:]: row for key, row in found.items() if key[0] == score}


@pytest.fixture(scope="module")
def chosen() -> list[dict]:
    """The membership table of the policy that learns the chosen completions."""
    options = dict(shown=synthetic.shown(), utility=synthetic.utility_rows(["sft_chosen", "sft"]), fpr=0.01, confidence=0.95)
    return membership.summarize(extraction=synthetic.extraction(["sft_chosen"], probes=["fim"]), **options)


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


@pytest.mark.parametrize("score", membership.MEASURED)
def test_every_score_separates_what_is_memorized_as_the_likelihood_does(score, chosen):
    """In the study by hand all scores put the canaries in one order."""
    found, likely = (
        {(r["policy"], r["cohort"], r["dose"], r["against"]): r for r in chosen if r["score"] == s} for s in (score, membership.LOGPROB)
    )
    cohorts = {"preference", "unplanted"} if score == "premia" else {*synthetic.COHORTS}
    assert found.keys() == {key for key in likely if key[1] in cohorts}
    for key, row in found.items():
        assert row == {**likely[key], "score": score}
    assert found["sft_chosen", "preference", 64, "twins"]["auc"] > 0.9


@pytest.mark.parametrize("score", membership.MEASURED)
def test_a_score_of_chance_gives_half(score):
    extraction = synthetic.extraction(["sft"], probes=["fim"])
    drawn = np.random.default_rng(7).normal(size=len(extraction))
    extraction[score] = np.where(extraction[score].isna(), np.nan, drawn)
    rows = [row for key, row in table(extraction, score=score).items() if key[2] is None]
    assert len(rows) == (3 if score == "premia" else 7) and all(row["auc_low"] < 0.5 < row["auc_high"] for row in rows)
    extraction.loc[extraction["arm"] == "A", score] = np.nan
    if extraction[score].notna().any():
        with pytest.raises(ValueError, match="not probed in both arms"):
            table(extraction, score=score)


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


def test_the_unplanted_score_is_of_the_assigned_arm_alone_as_that_of_members():
    extraction = synthetic.extraction(["sft"], probes=["fim"])
    out = extraction["cohort"] == "unplanted"
    extraction["target_logprob"] = np.where(
        out, np.where(extraction["arm"].map({"A": 1, "B": 2}) == extraction["half"], -24.0, 0.0), np.where(extraction["seen"], -22.0, -26.0)
    )
    found = table(extraction)
    assert found["sft", "sft", None, "unplanted"]["auc"] == 1.0 and found["sft", "sft", None, "twins"]["auc"] == 1.0
    extraction.loc[extraction["seen"], "target_logprob"] = -25.0
    assert table(extraction)["sft", "sft", None, "unplanted"]["auc"] == 0.0


def test_without_an_unplanted_cohort_only_twins_remain():
    extraction = synthetic.extraction(["sft"], probes=["fim"])
    assert {key[3] for key in table(extraction[extraction["cohort"] != "unplanted"])} == {"twins"}
