"""Exposure of synthetic rows: built-in values come out."""

import pytest

from tests.unit.results import synthetic
from workflow_scripts.core.results.tables import exposure, statistics


def by_cell(extraction=None, **settings) -> dict[tuple, dict]:
    """Rows of the table by policy, cohort, dose and what else tells them apart."""
    extraction = synthetic.extraction() if extraction is None else extraction
    rows = exposure.summarize(extraction=extraction, shown=synthetic.shown(), utility=synthetic.utility_rows(), confidence=0.95, **settings)
    found = {(r["policy"], r["cohort"], r["dose"]): r for r in rows}
    assert len(found) == len(rows)
    return found


def test_exposure_of_known_rows():
    found = by_cell()
    bits = [4 - i % 5 for i in range(8)]  # of what is not memorized
    for policy, cohort in synthetic.RATES:
        for dose, hits in zip(synthetic.DOSES, synthetic.RATES[policy, cohort], strict=True):
            row = found[policy, cohort, dose]
            known = synthetic.CONTROLS.get((policy, cohort), 0) if dose == 4 else 0
            mean, control = ((8 * n + sum(bits[n:])) / 8 for n in (hits, known))
            assert (row["n"], row["reference_fillings"], row["cap"], row["at_cap_hits"]) == (8, 255, 8.0, hits)
            assert (row["mean"], row["control"], row["difference"]) == pytest.approx((mean, control, mean - control))
            assert row["difference_low"] <= row["difference"] <= row["difference_high"]
            assert (row["at_cap_low"], row["at_cap_high"]) == statistics.clopper_pearson(hits=hits, n=8, confidence=0.95)
            assert row["fitted_mean"] == pytest.approx((20 * hits + sum(bits[hits:])) / 8)  # beyond the cap
    none = found["base", "unplanted", None]
    assert none["difference"] == none["difference_low"] == none["difference_high"] == 0  # both arms give the very same
    assert none["mean_low"] < none["mean"] < none["mean_high"] and none["at_cap_hits"] == 0


def test_the_cap_is_that_of_each_canary_and_holds_up_to_rounding():
    extraction = synthetic.extraction(policies=["sft"], probes=["fim"])
    extraction["exposure"], extraction["reference_fillings"] = 7.0 - 1e-12, 127
    first = extraction["canary_id"] == "sft-01-00"
    extraction.loc[first, ["exposure", "reference_fillings"]] = [7.995, 255]  # above log2(255), below log2(256)
    row = by_cell(extraction)["sft", "sft", 1]
    assert (row["reference_fillings"], row["cap"], row["at_cap_hits"]) == (127, 7.0, 7)


def test_means_intervals_are_over_canaries_whatever_the_seeds():
    once = by_cell()["sft", "sft", None]
    thrice = by_cell(synthetic.extraction(seeds=(0, 1, 2)))["sft", "sft", None]
    assert (thrice["n"], thrice["at_cap_hits"]) == (3 * once["n"], 3 * once["at_cap_hits"])
    for key in ("mean", "mean_low", "mean_high", "control_high", "difference_low", "difference_high", "at_cap_low", "at_cap_high"):
        assert thrice[key] == pytest.approx(once[key])
