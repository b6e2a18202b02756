"""Extraction by n samples: built-in values come out, and the formula holds where doubles underflow."""

import math
import warnings
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.results import synthetic
from workflow_scripts.core.results.tables import extraction_probability, statistics


def by_cell(extraction=None, **settings) -> dict[tuple, dict]:
    """Rows of the table by policy, cohort, dose and what else tells them apart."""
    extraction = synthetic.extraction() if extraction is None else extraction
    rows = extraction_probability.summarize(
        extraction=extraction, shown=synthetic.shown(), utility=synthetic.utility_rows(), confidence=0.95, **settings
    )
    found = {(r["policy"], r["cohort"], r["dose"], r["extraction_n"], r["extraction_p"]): r for r in rows}
    assert len(found) == len(rows)
    return found


def probability(log_p: float, samples: int) -> float:
    """sampling_probability of one number; a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return float(extraction_probability.sampling_probability(log_p=np.array([log_p]), samples=samples)[0])


def test_a_probability_that_doubles_cannot_take_from_1_still_counts():
    """Mistake 4: 1 - 1e-17 is 1, so computed plainly a quintillion samples would give 0."""
    assert probability(math.log(1e-17), 10**18) == pytest.approx(1 - math.exp(-10), rel=1e-12)
    assert round(probability(-39.14, 10**18), 4) == 1.0 and probability(-39.14, 10**18) == pytest.approx(0.99995, abs=1e-5)
    assert probability(-39.14, 1) == pytest.approx(math.exp(-39.14), rel=1e-12)
    assert probability(math.log(1e-300), 10**18) == pytest.approx(1e-282, rel=1e-9)


def test_certain_and_impossible_targets():
    for samples in (1, 100, 10**18):
        assert (probability(0.0, samples), probability(-math.inf, samples)) == (1.0, 0.0)
    assert probability(1e-9, 5) == 1.0  # what rounding leaves above 0
    with pytest.raises(ValueError, match="above 0"):
        extraction_probability.sampling_probability(log_p=np.array([-1.0, 0.1]), samples=1)


@given(st.floats(-60, -1e-12), st.integers(1, 10**18))
def test_it_is_one_minus_q_to_the_n_in_a_hundred_digits(log_p, samples):
    with localcontext() as context:
        context.prec = 100
        q = 1 - Decimal(log_p).exp()
        wanted = float(1 - (q.ln() * samples).exp())
    assert probability(log_p, samples) == pytest.approx(wanted, rel=1e-9)


@given(st.floats(-800, 0), st.floats(-800, 0), st.integers(1, 10**18), st.integers(1, 10**18))
def test_it_rises_with_p_and_with_n_and_is_a_probability(p, q, m, n):
    low, high = sorted((p, q))
    assert 0 <= probability(low, m) <= probability(high, m) <= 1
    assert probability(p, min(m, n)) <= probability(p, max(m, n))


def test_extraction_probability_of_known_rows():
    found = by_cell(extraction_n=[1, 2, 10**18], extraction_p=[0.5, 0.7, 0.9999])
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


def test_a_probability_that_is_just_reached_counts():
    extraction = synthetic.extraction(policies=["sft"], probes=["fim"]).assign(log_p_extract=0.0)
    rows = extraction_probability.summarize(
        extraction=extraction,
        shown=synthetic.shown(),
        utility=synthetic.utility_rows(["sft"]),
        extraction_n=[1],
        extraction_p=[1.0],
        confidence=0.95,
    )
    assert {r["rate"] for r in rows} == {1.0}
