"""Costs and versions are those of the receipts; what was not measured is not 0."""

import pandas as pd

from tests.unit.results import synthetic
from workflow_scripts.core.results.tables import cost


def test_cost_has_one_row_per_receipt():
    receipts = synthetic.receipts()
    rows = cost.summarize(receipts)
    found = {(r["rule"], r["arm"], r["policy"]): r for r in rows}
    assert len(rows) == len(receipts) == len(found)
    base = found["train_base", None, "base"]
    assert (base["seed"], base["wall_s"], base["cpu_s"], base["peak_memory_mb"]) == (0, 400.0, 760.0, 1500.0)
    assert (base["steps"], base["tokens"], base["device"], base["gpu_peak_mb"]) == (900, 3_700_000, "cpu", None)
    assert found["train_ppo", "B", "ppo"]["tokens"] == 90_000
    assert found["probe_completions", "A", "ppo"]["tokens"] is None  # probing trains on nothing
    for job in (("collect_corpus", None, None), ("plant_arm", "A", None)):  # what was not measured is not 0
        assert found[job]["cpu_s"] is found[job]["peak_memory_mb"] is found[job]["seed"] is None
    total = {r["rule"]: r for r in cost.by_rule(rows)}
    assert (total["train_sft"]["jobs"], total["train_sft"]["wall_s"], total["train_sft"]["tokens"]) == (4, 400.0, 360_000)
    assert total["collect_corpus"]["cpu_s"] is total["collect_corpus"]["peak_memory_mb"] is None


def test_the_cost_of_a_reward_model_stands_under_its_name():
    receipt = dict(rule="train_smoothed", wildcards=dict(run="r", arm="A", seed="0", reward="soft"), made=dict(wall_s=1.0))
    row = cost.summarize([receipt])[0]
    assert (row["rule"], row["policy"], row["arm"], row["seed"], row["wall_s"]) == ("train_smoothed", "soft", "A", 0, 1.0)


def test_versions_that_differ_are_all_shown():
    receipts = synthetic.receipts()
    receipts[-1]["made"] = {**receipts[-1]["made"], "versions": {"torch": "2.12.0"}}
    found = cost.versions(receipts)
    assert found["torch"] == ["2.12.0", "2.13.0"] and found["trl"] == ["1.12.0"] and found["pandas"] == [pd.__version__]
