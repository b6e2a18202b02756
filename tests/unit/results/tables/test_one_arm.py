"""One arm alone: its canaries beside those planted nowhere, against counts by hand, and intervals that hold what they promise."""

import numpy as np
import pytest

from tests.unit.results import synthetic
from workflow_scripts.core.results.tables import one_arm
from workflow_scripts.core.results.tables.statistics import clopper_pearson


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """The table of the study in which sft_chosen has arm B alone."""
    extraction = synthetic.extraction(probes=["fim", "prefix"])
    kept = extraction[(extraction["policy"] != "sft_chosen") | (extraction["arm"] == "B")]
    return one_arm.summarize(extraction=kept, utility=synthetic.utility_rows(), confidence=0.95)


def test_only_policies_with_one_arm_have_rows(rows):
    assert {(row["policy"], row["arm"]) for row in rows} == {("sft_chosen", "B")}
    whole = synthetic.extraction(probes=["fim"])
    assert one_arm.summarize(extraction=whole, utility=synthetic.utility_rows(), confidence=0.95) == []
    assert [(row["cohort"], row["dose"]) for row in rows[:5]] == [("sft", 1), ("sft", 4), ("sft", 16), ("sft", 64), ("sft", None)]


def test_counts_are_of_the_arm_s_own_half_and_of_all_unplanted_ones(rows):
    canaries = synthetic.canaries()
    for row in rows:
        own = [c for c in canaries if c["cohort"] == row["cohort"] and c["half"] == 2 and row["dose"] in (None, c["dose"])]
        hits = sum(c["rank"] < synthetic.RATES.get(("sft_chosen", c["cohort"]), [0] * 4)[synthetic.DOSES.index(c["dose"])] for c in own)
        assert (row["n"], row["hits"], row["rate"]) == (len(own), hits, hits / len(own))
        assert (row["low"], row["high"]) == pytest.approx(clopper_pearson(hits=hits, n=len(own), confidence=0.95))
        assert (row["unplanted_n"], row["unplanted_hits"], row["difference"]) == (synthetic.UNPLANTED, 0, row["rate"])


def test_the_interval_of_a_difference_is_put_together_from_both(rows):
    for row in rows:
        down = np.hypot(row["rate"] - row["low"], row["unplanted_high"] - row["unplanted_rate"])
        assert (
            row["difference_low"] == pytest.approx(row["difference"] - down)
            and row["difference_low"] <= row["difference"] <= row["difference_high"]
        )
        assert row["logprob_difference"] == pytest.approx(row["logprob"] - row["unplanted_logprob"])
        assert row["logprob_difference_low"] < row["logprob_difference"] < row["logprob_difference_high"] and 0 <= row["auc"] <= 1


@pytest.mark.parametrize(("true", "least"), [((0.05, 0.05), 0.95), ((0.5, 0.1), 0.95), ((0.9, 0.02), 0.95)])
def test_intervals_of_differences_cover_the_truth(true, least):
    """4,000 studies of 30 planted and 60 unplanted canaries."""
    draw, n = np.random.default_rng(0), (30, 60)
    ends = [[(hits / size, *clopper_pearson(hits=hits, n=size, confidence=0.95)) for hits in range(size + 1)] for size in n]
    covered = 0
    for one, other in zip(*(draw.binomial(size, rate, 4000) for size, rate in zip(n, true, strict=True)), strict=True):
        row = one_arm._difference("d", ends[0][one], ends[1][other])
        covered += row["d_low"] <= true[0] - true[1] <= row["d_high"]
    assert covered / 4000 >= least
