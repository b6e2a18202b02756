"""Policies and reward models by TRL's trainers in the real workflow: only their own jobs run, and everything behind them knows no difference."""

import json

import pytest

from tests.workflow.scenarios import RESULTS

CHAIN = {"sft_trl": {"method": "sft", "parent": "base", "trainer": "trl"}}
FROM = {"parent": "sft_trl", "trainer": "trl"}
EVERYTHING = {
    "policies": {
        **CHAIN,
        "sft_chosen_trl": {"method": "sft", "data": "preference", **FROM},
        "ipo_trl": {"method": "ipo", **FROM},
        "dpo_trl": {"method": "dpo", **FROM},
        "slic_trl": {"method": "slic", "sft_coef": 0.0, **FROM},
        "ppo_trl": {"method": "ppo", "reward_model": "reward_model_trl", **FROM},
        "rloo_trl": {"method": "rloo", "reward_model": "reward_model_trl", **FROM},
        "online_dpo_trl": {
            "method": "online_dpo",
            "reward_model": "reward_model_trl",
            "rollout_batch_size": 8,
            "mini_batch_size": 8,
            **FROM,
        },
    },
    "reward_models": {"reward_model_trl": {"type": "single", **FROM}},
}


def test_a_policy_by_trl_runs_its_own_job_and_changes_no_other(repository):
    planned = repository.plan(overlay={"policies": CHAIN})
    assert {job for job in planned if job.startswith("train_")} == {"train_sft-A-0-sft_trl", "train_sft-B-0-sft_trl"}
    target = f"{RESULTS}/models/A/0/sft_trl"
    run = repository.run(target, overlay={"policies": CHAIN})
    assert run.status == 0 and run.jobs == {"train_sft-A-0-sft_trl"}, run.said[-3000:]
    ours, theirs = (json.loads((repository.folder / f"{RESULTS}/models/A/0/{name}/meta.json").read_text()) for name in ("sft", "sft_trl"))
    assert (theirs["trainer"], theirs["trl"]) == ("trl", "1.12.0") and "trainer" not in ours
    assert theirs["settings"] == ours["settings"] and (theirs["steps"], theirs["tokens"]) == (ours["steps"], ours["tokens"])
    assert theirs["history"][-1]["train_loss"] == pytest.approx(ours["history"][-1]["train_loss"], abs=1e-4)
    receipt = json.loads((repository.folder / f"{RESULTS}/receipts/train_sft/A/0/sft_trl.json").read_text())
    assert receipt["script"] == "workflow_scripts/train_sft_trl.py" and receipt["made"]["versions"]["trl"] == "1.12.0"
    assert repository.run(target, overlay={"policies": CHAIN}).jobs == set()
    again = repository.run("-n", target, overlay={"policies": {"sft_trl": {**CHAIN["sft_trl"], "trainer": "packed"}}})
    assert again.jobs == {"train_sft-A-0-sft_trl"} and "train_sft_trl.py -> workflow_scripts/train_sft.py" in again.said


@pytest.mark.slow
def test_everything_that_trl_trains_is_probed_and_reported_like_the_rest(repository):
    run = repository.run(overlay=EVERYTHING)
    assert run.status == 0, run.said[-6000:]
    names = [*EVERYTHING["policies"], *EVERYTHING["reward_models"]]
    trained = {job for job in run.jobs - run.stood if job.startswith("train_")}
    assert {job.rpartition("-")[2] for job in trained} == {*names} and len(trained) == 2 * len(names)
    for name in names:
        meta = json.loads((repository.folder / f"{RESULTS}/models/B/0/{name}/meta.json").read_text())
        assert meta["trainer"] == "trl" and meta["history"] and meta["steps"] > 0 and meta["tokens"] > 0
    report, summary = ((repository.folder / RESULTS / page).read_text(encoding="utf-8") for page in ("report.html", "summary.md"))
    assert "Trained by TRL" in report and "Trained by TRL" in summary and all(name in report for name in names)
    assert repository.plan(overlay=EVERYTHING) == set()
