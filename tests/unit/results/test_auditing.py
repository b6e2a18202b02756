"""Audit and parity tables of counts and flips that were built in."""

import pandas as pd
import pytest

from tests.unit.results import synthetic
from workflow_scripts.core.results import auditing, statistics


def test_the_audit_sums_what_was_counted_and_shows_the_one_that_is_missing():
    rows = auditing.audit(counts=pd.DataFrame(synthetic.audit()))
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


def test_parity_counts_items_that_change():
    rows = auditing.parity(completions={"sft": synthetic.parity(), "ppo": synthetic.parity()}, confidence=0.95)
    found = [(r["policy"], r["dtype"], r["batch_size"], r["n"], r["hits"], r["rate"]) for r in rows]
    settings = [("float32", 8, 20, 0, 0.0), ("bfloat16", 1, 20, 3, 0.15), ("bfloat16", 8, 20, 5, 0.25)]
    assert found == [(policy, *setting) for policy in ("sft", "ppo") for setting in settings]
    assert (rows[1]["low"], rows[1]["high"]) == statistics.clopper_pearson(hits=3, n=20, confidence=0.95)


def test_parity_does_not_mind_the_order_of_items_but_a_longer_answer():
    completions = synthetic.parity()
    shuffled = completions.sample(frac=1, random_state=0)
    parity = lambda rows: auditing.parity(completions={"sft": rows}, confidence=0.95)  # noqa: E731
    assert parity(shuffled) == parity(completions)
    longer = completions.copy()
    longer["completion_ids"] = [
        [*ids, 9] if dtype == "bfloat16" else ids for dtype, ids in completions[["dtype", "completion_ids"]].to_numpy()
    ]
    assert [r["hits"] for r in parity(longer)] == [0, 20, 20]


def test_parity_needs_its_baseline_and_the_same_items():
    completions = synthetic.parity()
    with pytest.raises(ValueError, match="sft was not asked in float32, one prompt at a time"):
        auditing.parity(completions={"sft": completions[completions["batch_size"] == 8]}, confidence=0.95)
    with pytest.raises(ValueError, match="sft answered other items in bfloat16 at batch size 8"):
        auditing.parity(completions={"sft": completions.iloc[:-1]}, confidence=0.95)
