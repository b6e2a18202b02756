"""Exposure, near-verbatim recovery and extraction in n tries: built-in values come out, and the formula holds where doubles underflow."""

import math
import warnings
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.results import synthetic
from tests.unit.results.test_tables import useful
from workflow_scripts.core.results import likelihood, recovery, statistics


def by_cell(function, extraction=None, **settings) -> dict[tuple, dict]:
    """Rows of a table by policy, cohort, dose and what else tells them apart."""
    extraction = synthetic.extraction() if extraction is None else extraction
    rows = function(extraction=extraction, utility=useful(), confidence=0.95, **settings)
    found = {(r["policy"], r["cohort"], r["dose"], *(r[k] for k in ("measure", "tries", "chance") if k in r)): r for r in rows}
    assert len(found) == len(rows)
    return found


def chance(log_p: float, tries: int) -> float:
    """chance_within of one number; a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return float(likelihood.chance_within(log_p=np.array([log_p]), tries=tries)[0])


def test_a_probability_that_doubles_cannot_take_from_1_still_counts():
    """Mistake 4: 1 - 1e-17 is 1, so computed plainly a quintillion tries would give 0."""
    assert chance(math.log(1e-17), 10**18) == pytest.approx(1 - math.exp(-10), rel=1e-12)
    assert round(chance(-39.14, 10**18), 4) == 1.0 and chance(-39.14, 10**18) == pytest.approx(0.99995, abs=1e-5)
    assert chance(-39.14, 1) == pytest.approx(math.exp(-39.14), rel=1e-12)
    assert chance(math.log(1e-300), 10**18) == pytest.approx(1e-282, rel=1e-9)


def test_certain_and_impossible_targets():
    for tries in (1, 100, 10**18):
        assert (chance(0.0, tries), chance(-math.inf, tries)) == (1.0, 0.0)
    assert chance(1e-9, 5) == 1.0  # what rounding leaves above 0
    with pytest.raises(ValueError, match="above 0"):
        likelihood.chance_within(log_p=np.array([-1.0, 0.1]), tries=1)


@given(st.floats(-60, -1e-12), st.integers(1, 10**18))
def test_it_is_one_minus_q_to_the_n_in_a_hundred_digits(log_p, tries):
    with localcontext() as context:
        context.prec = 100
        q = 1 - Decimal(log_p).exp()
        wanted = float(1 - (q.ln() * tries).exp())
    assert chance(log_p, tries) == pytest.approx(wanted, rel=1e-9)


@given(st.floats(-800, 0), st.floats(-800, 0), st.integers(1, 10**18), st.integers(1, 10**18))
def test_it_rises_with_p_and_with_n_and_is_a_probability(p, q, m, n):
    low, high = sorted((p, q))
    assert 0 <= chance(low, m) <= chance(high, m) <= 1
    assert chance(p, min(m, n)) <= chance(p, max(m, n))


def test_extraction_probability_of_known_rows():
    found = by_cell(likelihood.extraction_probability, tries=[1, 2, 10**18], chances=[0.5, 0.7, 0.9999])
    assert len(found) == 5 * (3 * 5 + 2) * 9
    for (policy, cohort), hits in synthetic.RATES.items():
        for dose, wanted in zip((*synthetic.DOSES, None), (*hits, sum(hits)), strict=True):
            cell = {key[3:]: row for key, row in found.items() if key[:3] == (policy, cohort, dose)}
            n = 32 if dose is None else 8
            assert cell[1, 0.5]["hits"] == wanted and cell[1, 0.5]["n"] == n  # exp(-0.5) = 0.61 for what is memorized
            assert cell[1, 0.7]["hits"] == 0 and cell[2, 0.7]["hits"] == wanted  # 1 - 0.39^2 = 0.85
            ladder = zip(synthetic.DOSES, hits, strict=True) if dose is None else [(dose, wanted)]
            even = sum(sum(r % 2 == 0 or r < h for r in range(8)) for _, h in ladder)
            assert cell[10**18, 0.9999]["hits"] == even  # of the others those of even rank have p = 1e-17, the odd ones none
    row = found["sft", "sft", 4, 1, 0.5]
    assert (row["control_hits"], row["control_rate"]) == (1, 1 / 8) and not row["collapsed"]
    assert (row["low"], row["high"]) == statistics.clopper_pearson(hits=4, n=8, confidence=0.95)
    assert (row["control_low"], row["control_high"]) == statistics.clopper_pearson(hits=1, n=8, confidence=0.95)
    assert found["ipo", "sft", 4, 1, 0.5]["collapsed"] and found["sft", "unplanted", None, 10**18, 0.9999]["hits"] == 16


def test_a_chance_that_is_just_reached_counts():
    extraction = synthetic.extraction(policies=["sft"], probes=["fim"]).assign(log_p_extract=0.0)
    rows = likelihood.extraction_probability(extraction=extraction, utility=useful(["sft"]), tries=[1], chances=[1.0], confidence=0.95)
    assert {r["rate"] for r in rows} == {1.0}


def test_exposure_of_known_rows():
    found = by_cell(likelihood.exposure)
    bits = [4 - i % 5 for i in range(8)]  # of what is not memorized
    for policy, cohort in synthetic.RATES:
        for dose, hits in zip(synthetic.DOSES, synthetic.RATES[policy, cohort], strict=True):
            row = found[policy, cohort, dose]
            known = synthetic.CONTROLS.get((policy, cohort), 0) if dose == 4 else 0
            mean, control = ((8 * n + sum(bits[n:])) / 8 for n in (hits, known))
            assert (row["n"], row["references"], row["cap"], row["at_cap_hits"]) == (8, 255, 8.0, hits)
            assert (row["mean"], row["control"], row["difference"]) == pytest.approx((mean, control, mean - control))
            assert row["difference_low"] <= row["difference"] <= row["difference_high"]
            assert (row["at_cap_low"], row["at_cap_high"]) == statistics.clopper_pearson(hits=hits, n=8, confidence=0.95)
    none = found["base", "unplanted", None]
    assert none["difference"] == none["difference_low"] == none["difference_high"] == 0  # both arms give the very same
    assert none["mean_low"] < none["mean"] < none["mean_high"] and none["at_cap_hits"] == 0


def test_the_cap_is_that_of_each_canary_and_holds_up_to_rounding():
    extraction = synthetic.extraction(policies=["sft"], probes=["fim"])
    extraction["exposure"], extraction["references"] = 7.0 - 1e-12, 127
    first = extraction["canary_id"] == "sft-01-00"
    extraction.loc[first, ["exposure", "references"]] = [7.995, 255]  # above log2(255), below log2(256)
    row = by_cell(likelihood.exposure, extraction)["sft", "sft", 1]
    assert (row["references"], row["cap"], row["at_cap_hits"]) == (127, 7.0, 7)


def test_means_intervals_are_over_canaries_whatever_the_seeds():
    once = by_cell(likelihood.exposure)["sft", "sft", None]
    thrice = by_cell(likelihood.exposure, synthetic.extraction(seeds=(0, 1, 2)))["sft", "sft", None]
    assert (thrice["n"], thrice["at_cap_hits"]) == (3 * once["n"], 3 * once["at_cap_hits"])
    for key in ("mean", "mean_low", "mean_high", "control_high", "difference_low", "difference_high", "at_cap_low", "at_cap_high"):
        assert thrice[key] == pytest.approx(once[key])


def test_recovery_of_known_rows():
    found = by_cell(recovery.recovery)
    assert len(found) == 5 * (3 * 5 + 2) * 2
    extraction = synthetic.extraction(policies=["sft"], probes=["fim"])
    extraction["longest_substring"] = extraction["seen"] * 0.5 + 0.25
    extraction["recovered"] = 0.75 - extraction["seen"] * 0.5
    changed = by_cell(recovery.recovery, extraction)
    row, other = changed["sft", "sft", 16, "longest_substring"], changed["sft", "sft", 16, "recovered"]
    assert (row["n"], row["mean"], row["control"], row["difference"], row["difference_low"]) == (8, 0.75, 0.25, 0.5, 0.5)
    assert (other["mean"], other["control"], other["difference"]) == (0.25, 0.75, -0.5)
    whole = found["sft", "sft", 64, "recovered"]
    assert whole["mean"] == pytest.approx(1 - 0.03) and whole["control"] < 0.6  # 0 to 3 of 50 characters wrong
