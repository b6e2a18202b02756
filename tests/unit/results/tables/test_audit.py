"""The audit of counts with one occurrence too few: what was counted, how often it was shown to whom, and the share of canaries."""

import pandas as pd
import pytest

from tests.unit.results import synthetic
from workflow_scripts.core.methods import METHODS
from workflow_scripts.core.results.pages import check_views
from workflow_scripts.core.results.tables import audit, presentations

KEY = ("training_set", "stage", "arm", "cohort", "sequence", "dose")
CANARY_ROWS, DOSES = 4 * (1 + 4 + 16 + 64), (1, 4, 16, 64)


def audited(**changes) -> dict[tuple, dict]:
    """Rows of `audit` of the synthetic study by KEY; `changes` are stages."""
    stages = synthetic.STAGES | changes
    rows = audit.summarize(counts=pd.DataFrame(synthetic.audit_counts()), **synthetic.audited(stages=stages))
    found = {tuple(r[k] for k in KEY): r for r in rows}
    assert len(found) == len(rows)
    return found


def test_the_audit_sums_what_was_counted_and_shows_the_one_that_is_missing():
    rows = audited()
    assert list(dict.fromkeys(key[0] for key in rows)) == ["base", *synthetic.COHORTS[:3]]
    whole = rows["sft", "sft", "B", "sft", "planted", 64]
    assert (whole["canaries"], whole["expected"], whole["counted"], whole["agree"]) == (8, 4 * 64, 4 * 64, 8)
    short = rows["sft", "sft", "A", "sft", "planted", 64]
    assert (short["canaries"], short["expected"], short["counted"], short["agree"]) == (8, 256, 255, 7)
    shown = rows["rl_prompt", "ppo", "A", "rl_prompt", "target", 16], rows["rl_prompt", "ppo", "A", "rl_prompt", "planted", 16]
    assert [r["expected"] for r in shown] == [0, 64]  # PPO is shown prompts and never targets, yet their dose is 16
    placebo = rows["preference", "ipo", "A", "unplanted", "target", 0]
    assert (placebo["canaries"], placebo["expected"], placebo["counted"], placebo["agree"]) == (32, 0, 0, 32)
    assert sum(r["canaries"] - r["agree"] for r in rows.values()) == 1


def test_presentations_are_counted_occurrences_times_the_epochs_of_who_reads_them():
    rows = audited()
    assert [rows["sft", "sft", "B", "sft", "planted", dose]["presentations"] for dose in DOSES] == [3 * dose for dose in DOSES]
    assert rows["sft", "sft", "A", "sft", "planted", 64]["presentations"] == 3 * 255 / 4  # one of its four canaries lacks an occurrence
    for stage in ("sft_chosen", "ipo", "reward_model"):
        assert [rows["preference", stage, "A", "preference", "planted", dose]["presentations"] for dose in DOSES] == [2 * d for d in DOSES]
    assert rows["preference", "ipo", "A", "sft", "target", 64]["presentations"] == 0
    assert all(row["presentations"] == 0 for key, row in rows.items() if key[0] == "base")


def test_prompts_of_rollouts_are_presented_as_often_as_they_are_drawn():
    """10 rollouts of 70 draw 700 prompts of 1,372: about half of them once; a mean over few canaries scatters."""
    rows = audited(ppo={"method": "ppo", **synthetic.SAMPLING, "episodes": 1372 * 3, "rollout_batch_size": 343})
    for arm in "AB":
        assert [rows["rl_prompt", "ppo", arm, "rl_prompt", "planted", dose]["presentations"] for dose in DOSES] == [3 * d for d in DOSES]
        prompts = rows["preference", "ppo", arm, "preference", "prompt", 16]
        assert (prompts["presentations"], prompts["expected"], prompts["counted"], prompts["agree"]) == (6, 8, 8, 8)
        assert ("preference", "ppo", arm, "preference", "planted", 16) not in rows  # its target is not shown
    some = audited()
    mean = sum(some["rl_prompt", "ppo", arm, "rl_prompt", "planted", 64]["presentations"] for arm in "AB") / 2
    assert 64 * 0.3 < mean < 64 * 0.7
    none = audited(ppo={"method": "ppo", **synthetic.SAMPLING, "preference_prompts": 0})
    assert not any(key[:2] == ("preference", "ppo") for key in none)


@pytest.mark.parametrize("method", ["rrhf", "iterative_dpo"])
def test_prompts_that_are_sampled_once_are_presented_once_an_epoch_whatever_their_dose(method):
    rows = audited(ranked={"method": method, "epochs": 2, "num_generations": 4, "preference_prompts": 1})
    of_doses = [rows["rl_prompt", "ranked", "A", "rl_prompt", "planted", dose] for dose in DOSES]
    assert [row["presentations"] for row in of_doses] == [2] * 4
    assert of_doses[0]["rows"] == synthetic.SNIPPETS + 32 and of_doses[0]["canary_share"] == 32 / (synthetic.SNIPPETS + 32)
    assert rows["preference", "ranked", "A", "preference", "prompt", 64]["presentations"] == 2


def test_a_reward_of_lengths_reads_each_pair_once():
    row = audited(reward_model={"type": "length_only"})["preference", "reward_model", "A", "preference", "planted", 16]
    assert row["presentations"] == 16


def test_the_share_of_canaries_is_that_of_the_rows_which_a_stage_goes_through():
    rows = audited()
    size = synthetic.SNIPPETS + CANARY_ROWS
    sft = rows["sft", "sft", "B", "sft", "planted", 1]
    assert (sft["rows"], sft["canary_share"]) == (size, CANARY_ROWS / size)
    assert rows["sft", "sft", "A", "sft", "planted", 1]["canary_share"] == (CANARY_ROWS - 1) / size
    prompts = [rows[name, "ppo", "A", name, sequence, 1] for name, sequence in (("rl_prompt", "planted"), ("preference", "prompt"))]
    assert {(row["rows"], row["canary_share"]) for row in prompts} == {(size + 32, (CANARY_ROWS + 32) / (size + 32))}
    assert {(row["rows"], row["canary_share"]) for key, row in rows.items() if key[0] == "base"} == {(500, 0.0)}


def test_a_set_that_no_stage_reads_is_audited_all_the_same():
    rows = audit.summarize(counts=pd.DataFrame(synthetic.audit_counts()), **synthetic.audited(stages={"sft": synthetic.STAGES["sft"]}))
    assert {(r["training_set"], r["stage"]) for r in rows} == {("base", None), ("sft", "sft"), ("preference", None), ("rl_prompt", None)}
    assert all((r["presentations"] is None) == (r["stage"] is None) for r in rows)


def test_nobody_knows_how_often_a_checkpoint_trained_elsewhere_was_shown_its_export():
    stages = {"sft": synthetic.STAGES["sft"], "mine": {"method": "external"}, "of_b": {"method": "external", "arm": "B"}}
    rows = audit.summarize(counts=pd.DataFrame(synthetic.audit_counts()), **synthetic.audited(stages=stages))
    read = {stage: {(r["training_set"], r["arm"]) for r in rows if r["stage"] == stage} for stage in ("mine", "of_b")}
    assert read["mine"] == {(name, arm) for name in ("sft", "preference", "rl_prompt") for arm in "AB"}
    assert read["of_b"] == {(name, "B") for name in ("sft", "preference", "rl_prompt")}
    assert all(r["presentations"] is None for r in rows if r["stage"] in read) and any(
        r["canary_share"] for r in rows if r["stage"] == "mine"
    )
    shown = presentations.of(rows=rows, lineages={"sft": ["sft"], "after": ["sft", "mine"]})
    assert shown["sft", "sft", 16] == 48 and shown["after", "sft", 16] is None
    assert presentations.mean(shown, "after", "sft", [16, 4]) is None and presentations.mean(shown, "after", "unplanted", [0]) == 0
    summed, every = check_views.presentations({"audit": rows}), check_views.audit({"audit": rows})[1]
    assert "not known" in str([line for line in summed.rows if "mine" in str(line)]) and "not known" in str(every.rows)


def test_every_kind_of_data_is_some_training_set_of_the_audit():
    assert all(audit.training_sets({"method": name, "data": "sft"}) for name in METHODS)


def test_a_policy_was_shown_what_it_and_its_ancestors_were():
    shown = synthetic.shown()
    assert shown["sft", "sft", 16] == shown["ppo", "sft", 16] == shown["ipo", "sft", 16] == 48
    assert shown["sft_chosen", "preference", 16] == shown["ipo", "preference", 16] == shown["reward_model", "preference", 16] == 32
    assert shown["ppo", "preference", 16] == 0 < shown["ppo", "rl_prompt", 16]  # what its reward model saw, it did not
    assert not any(each for (name, cohort, _), each in shown.items() if name == "base" or cohort == "unplanted")
    assert presentations.mean(shown, "sft", "sft", [1, 16, 16]) == (3 + 48 + 48) / 3
    assert presentations.mean(shown, "nobody", "sft", [1]) == 0
