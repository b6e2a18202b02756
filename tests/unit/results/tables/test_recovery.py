"""Near-verbatim recovery of synthetic rows: built-in values come out."""

import pytest

from tests.unit.results import synthetic
from workflow_scripts.core.results.tables import recovery


def by_cell(extraction=None, **settings) -> dict[tuple, dict]:
    """Rows of the table by policy, cohort, dose and what else tells them apart."""
    extraction = synthetic.extraction() if extraction is None else extraction
    rows = recovery.summarize(extraction=extraction, shown=synthetic.shown(), utility=synthetic.utility_rows(), confidence=0.95, **settings)
    found = {(r["policy"], r["cohort"], r["dose"], r["measure"]): r for r in rows}
    assert len(found) == len(rows)
    return found


def test_recovery_of_known_rows():
    found = by_cell()
    assert len(found) == 5 * (3 * 5 + 2) * 2
    extraction = synthetic.extraction(policies=["sft"], probes=["fim"])
    extraction["longest_substring"] = extraction["seen"] * 0.5 + 0.25
    extraction["recovered"] = 0.75 - extraction["seen"] * 0.5
    changed = by_cell(extraction)
    row, other = changed["sft", "sft", 16, "longest_substring"], changed["sft", "sft", 16, "recovered"]
    assert (row["n"], row["mean"], row["control"], row["difference"], row["difference_low"]) == (8, 0.75, 0.25, 0.5, 0.5)
    assert (other["mean"], other["control"], other["difference"]) == (0.25, 0.75, -0.5)
    whole = found["sft", "sft", 64, "recovered"]
    assert whole["mean"] == pytest.approx(1 - 0.03) and whole["control"] < 0.6  # 0 to 3 of 50 characters wrong
