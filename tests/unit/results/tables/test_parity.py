"""Parity of completions of which some were changed."""

import pytest

from tests.unit.results import synthetic
from workflow_scripts.core.results.tables import parity, statistics


def test_parity_counts_items_that_change():
    rows = parity.summarize(completions={"sft": synthetic.completions_by_batch(), "ppo": synthetic.completions_by_batch()}, confidence=0.95)
    found = [(r["policy"], r["dtype"], r["batch_size"], r["n"], r["hits"], r["rate"]) for r in rows]
    settings = [("float32", 8, 20, 0, 0.0), ("bfloat16", 1, 20, 3, 0.15), ("bfloat16", 8, 20, 5, 0.25)]
    assert found == [(policy, *setting) for policy in ("sft", "ppo") for setting in settings]
    assert (rows[1]["low"], rows[1]["high"]) == statistics.clopper_pearson(hits=3, n=20, confidence=0.95)


def test_parity_does_not_mind_the_order_of_items_but_a_longer_answer():
    completions = synthetic.completions_by_batch()
    shuffled = completions.sample(frac=1, random_state=0)
    table = lambda rows: parity.summarize(completions={"sft": rows}, confidence=0.95)  # noqa: E731
    assert table(shuffled) == table(completions)
    longer = completions.copy()
    longer["completion_ids"] = [
        [*ids, 9] if dtype == "bfloat16" else ids for dtype, ids in completions[["dtype", "completion_ids"]].to_numpy()
    ]
    assert [r["hits"] for r in table(longer)] == [0, 20, 20]


def test_parity_needs_its_baseline_and_the_same_items():
    completions = synthetic.completions_by_batch()
    with pytest.raises(ValueError, match="sft was not probed in float32, one prompt at a time"):
        parity.summarize(completions={"sft": completions[completions["batch_size"] == 8]}, confidence=0.95)
    with pytest.raises(ValueError, match="sft completed other items in bfloat16 at batch size 8"):
        parity.summarize(completions={"sft": completions.iloc[:-1]}, confidence=0.95)
