"""The audit of counts with one occurrence too few."""

import pandas as pd

from tests.unit.results import synthetic
from workflow_scripts.core.results.tables import audit


def test_the_audit_sums_what_was_counted_and_shows_the_one_that_is_missing():
    rows = audit.summarize(counts=pd.DataFrame(synthetic.audit_counts()))
    found = {(r["training_set"], r["arm"], r["cohort"], r["sequence"], r["dose"]): r for r in rows}
    assert len(found) == len(rows) == 2 * (4 * 13 + 3 * 4)  # targets of every cohort in 4 sets, planted ones in their own
    assert [r["training_set"] for r in rows] == sorted((r["training_set"] for r in rows), key=["base", *synthetic.COHORTS].index)
    whole = found["sft", "B", "sft", "planted", 64]
    assert (whole["canaries"], whole["expected"], whole["counted"], whole["agree"]) == (8, 4 * 64, 4 * 64, 8)
    short = found["sft", "A", "sft", "planted", 64]
    assert (short["canaries"], short["expected"], short["counted"], short["agree"]) == (8, 256, 255, 7)
    shown = found["rl_prompt", "A", "rl_prompt", "target", 16], found["rl_prompt", "A", "rl_prompt", "planted", 16]
    assert [r["expected"] for r in shown] == [0, 64]  # PPO is shown prompts and never targets, yet their dose is 16
    placebo = found["preference", "A", "unplanted", "target", 0]
    assert (placebo["canaries"], placebo["expected"], placebo["counted"], placebo["agree"]) == (32, 0, 0, 32)
    assert sum(r["canaries"] - r["agree"] for r in rows) == 1
