"""What stays of what was memorized, on synthetic rows with known answers."""

import pytest

from tests.unit.results import synthetic
from workflow_scripts.core.results.tables import persistence, statistics


def kept(extraction=None, later=synthetic.LATER) -> dict[tuple, dict]:
    """The persistence table by (policy, cohort)."""
    extraction = synthetic.extraction() if extraction is None else extraction
    rows = persistence.summarize(
        extraction=extraction,
        shown=synthetic.shown(),
        utility=synthetic.utility_rows(),
        references=dict.fromkeys(later, "sft"),
        confidence=0.95,
    )
    found = {(r["policy"], r["cohort"], r["dose"]): r for r in rows}
    assert len(found) == len(rows)
    return {key[:2]: row for key, row in found.items() if key[2] is None} | found


def test_persistence_counts_what_stays_and_tests_what_changes():
    row = kept()["ppo", "sft"]
    assert (row["memorized_by_reference"], row["still_memorized"], row["lost"], row["gained"]) == (20, 17, 3, 0)
    assert row["rate"] == 0.85 and row["mcnemar_p"] == pytest.approx(2 * 0.5**3)
    assert (row["low"], row["high"]) == statistics.clopper_pearson(hits=17, n=20, confidence=0.95)
    assert (kept()["sft_chosen", "preference"]["lost"], kept()["sft_chosen", "preference"]["gained"]) == (0, 23)


def test_doses_stand_apart():
    found = kept()
    rows = [found["ppo", "sft", dose] for dose in synthetic.DOSES]
    assert [(r["memorized_by_reference"], r["still_memorized"], r["lost"]) for r in rows] == [(0, 0, 0), (4, 2, 2), (8, 7, 1), (8, 8, 0)]
    assert rows[0]["rate"] is None and (rows[2]["low"], rows[2]["high"]) == statistics.clopper_pearson(hits=7, n=8, confidence=0.95)


def test_nothing_memorized_leaves_no_share():
    row = kept()["ppo", "preference"]
    assert (row["memorized_by_reference"], row["still_memorized"], row["lost"], row["gained"], row["mcnemar_p"]) == (0, 0, 0, 0, 1.0)
    assert row["rate"] is row["low"] is row["high"] is None


def test_persistence_over_seeds_counts_each_canary_once_in_its_test():
    three = kept(synthetic.extraction(seeds=(0, 1, 2)))["ppo", "sft"]
    assert (three["memorized_by_reference"], three["still_memorized"]) == (60, 51)
    one = kept()["ppo", "sft"]
    assert {k: three[k] for k in ("lost", "gained", "mcnemar_p")} == {k: one[k] for k in ("lost", "gained", "mcnemar_p")}
    assert (three["rate"], three["low"], three["high"]) == pytest.approx((one["rate"], one["low"], one["high"]))


def test_persistence_needs_the_same_canaries_and_may_be_empty():
    extraction = synthetic.extraction()
    short = extraction[~((extraction["policy"] == "ppo") & (extraction["canary_id"] == "sft-64-00"))]
    with pytest.raises(ValueError, match="same canaries"):
        kept(short)
    assert kept(later=[]) == {}


def test_each_policy_is_compared_with_the_one_that_it_started_from():
    common = dict(extraction=synthetic.extraction(), shown=synthetic.shown(), utility=synthetic.utility_rows(), confidence=0.95)
    both = persistence.summarize(**common, references={"ppo": "sft", "ipo": "sft_chosen"})
    assert [(r["policy"], r["reference_policy"]) for r in both[::17]] == [("ppo", "sft"), ("ipo", "sft_chosen")]
    assert both[:17] == persistence.summarize(**common, references={"ppo": "sft"})
    preference = next(r for r in both if (r["policy"], r["cohort"], r["dose"]) == ("ipo", "preference", None))
    assert (preference["memorized_by_reference"], preference["still_memorized"], preference["lost"]) == (23, 3, 20)
