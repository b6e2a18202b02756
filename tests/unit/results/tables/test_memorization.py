"""Rates that were built into synthetic rows come out exactly; what is missing stays missing."""

import pytest

from tests.unit.results import synthetic
from workflow_scripts.core import parquet
from workflow_scripts.core.probing.schemas import EXTRACTION
from workflow_scripts.core.results.tables import canary_pairs, memorization, statistics
from workflow_scripts.core.results.text import format as formats


@synthetic.remembered
def memorized(seeds=(0,), probe="fim") -> dict[tuple, dict]:
    """The memorization table of a probe by (policy, cohort, dose)."""
    rows = memorization.summarize(
        extraction=synthetic.extraction(seeds=seeds), shown=synthetic.shown(), utility=synthetic.utility_rows(seeds=seeds), confidence=0.95
    )
    return {(r["policy"], r["cohort"], r["dose"]): r for r in rows if r["probe"] == probe}


@pytest.mark.parametrize("probe", ["fim", "prefix", "fim_50", "fim_25"])
def test_every_built_in_rate_comes_out(probe):
    found = memorized(probe=probe)
    for policy in synthetic.POLICIES:
        for cohort in synthetic.COHORTS[:3]:
            hits = [max(0, h - synthetic.FEWER[probe]) for h in synthetic.RATES.get((policy, cohort), [0] * 4)]
            for dose, expected in zip(synthetic.DOSES, hits, strict=True):
                row = found[policy, cohort, dose]
                assert (row["n"], row["hits"], row["rate"]) == (8, expected, expected / 8)
            whole = found[policy, cohort, None]
            assert (whole["n"], whole["hits"], whole["rate"]) == (32, sum(hits), sum(hits) / 32)


def test_the_tail_of_a_prompt_is_a_probe_of_its_own_and_probes_come_in_their_order():
    found = memorized(probe="prompt_tail")
    assert [found["ppo", "rl_prompt", dose]["hits"] for dose in (*synthetic.DOSES, None)] == [0, 1, 3, 6, 10]
    assert sum(row["hits"] for row in found.values()) == 20
    backwards = synthetic.extraction(probes=synthetic.PROBES[::-1])
    rows = memorization.summarize(extraction=backwards, shown=synthetic.shown(), utility=synthetic.utility_rows(), confidence=0.95)
    assert list(dict.fromkeys(r["probe"] for r in rows)) == synthetic.PROBES
    assert list(dict.fromkeys(r["policy"] for r in rows)) == list(synthetic.POLICIES)


def test_the_control_is_the_other_arm_and_is_taken_off_canary_by_canary():
    row, whole = memorized()["sft", "sft", 4], memorized()["sft", "sft", None]
    assert (row["hits"], row["control_hits"], row["counterfactual_hits"]) == (4, 1, 3)
    assert (whole["hits"], whole["control_hits"], whole["counterfactual_hits"]) == (20, 1, 19)
    assert (whole["counterfactual_low"], whole["counterfactual_high"]) == statistics.clopper_pearson(hits=19, n=32, confidence=0.95)
    assert (whole["control_low"], whole["control_high"]) == statistics.clopper_pearson(hits=1, n=32, confidence=0.95)


def test_a_canary_that_both_arms_memorize_is_not_counterfactual_and_one_that_only_the_control_does_adds_nothing():
    extraction = synthetic.extraction(policies=["sft"])
    extraction["memorized"] = (extraction["arm"] == "A") & (extraction["cohort"] == "preference")
    rows = memorization.summarize(extraction=extraction, shown=synthetic.shown(), utility=synthetic.utility_rows(["sft"]), confidence=0.95)
    row = next(r for r in rows if (r["cohort"], r["dose"], r["probe"]) == ("preference", None, "fim"))
    assert (row["hits"], row["control_hits"], row["counterfactual_hits"]) == (16, 16, 16)  # half 1 by its own arm, half 2 by the other
    extraction["memorized"] = extraction["cohort"] == "preference"
    rows = memorization.summarize(extraction=extraction, shown=synthetic.shown(), utility=synthetic.utility_rows(["sft"]), confidence=0.95)
    row = next(r for r in rows if (r["cohort"], r["dose"], r["probe"]) == ("preference", None, "fim"))
    assert (row["hits"], row["control_hits"], row["counterfactual_hits"]) == (32, 32, 0)


def test_unplanted_is_a_placebo_with_an_upper_bound():
    found = memorized()
    for policy in synthetic.POLICIES:
        row = found[policy, "unplanted", None]
        assert (row["n"], row["hits"], row["low"]) == (32, 0, 0)
        assert row["high"] == pytest.approx(1 - 0.025 ** (1 / 32))
        assert formats.rate_and_count(row, "counterfactual_") == ("0 %", "0/32, 0–11 %")


def test_seeds_add_counts_but_no_certainty():
    once, thrice = memorized()["sft", "sft", None], memorized(seeds=(0, 1, 2))["sft", "sft", None]
    assert (thrice["n"], thrice["hits"]) == (3 * once["n"], 3 * once["hits"])
    for key in ("rate", "low", "high", "control_high", "counterfactual_rate", "counterfactual_low", "counterfactual_high"):
        assert thrice[key] == pytest.approx(once[key])


def test_tables_of_rows_that_were_written_and_read_are_those_of_the_rows(tmp_path):
    rows = synthetic.extraction(seeds=(0, 1))
    parquet.write(rows, EXTRACTION, tmp_path / "extraction.parquet")
    others = dict(shown=synthetic.shown(seeds=(0, 1)), utility=synthetic.utility_rows(seeds=(0, 1)), confidence=0.95)
    read = canary_pairs.read([tmp_path / "extraction.parquet"], memorization.COLUMNS)
    assert memorization.summarize(extraction=read, **others) == memorization.summarize(extraction=rows, **others)
