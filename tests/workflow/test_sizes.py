"""Scratch models of several sizes in one run."""

import json

import pytest


@pytest.mark.slow
def test_a_base_policy_of_another_size_has_a_chain_of_its_own(repository):
    """It shares tokenizer, preference pairs and the reward model of the other size."""
    small = {
        "base_s": {"method": "base", "hidden": 16, "layers": 1, "intermediate": 32},
        "sft_s": {"method": "sft", "parent": "base_s"},
        "ppo_s": {"method": "ppo", "parent": "sft_s"},
    }
    run = repository.run("results/tiny/models/A/0/ppo_s", overlay={"policies": small})
    assert run.status == 0 and run.jobs == {"train_base-0-base_s", "train_sft-A-0-sft_s", "train_ppo-A-0-ppo_s"}, run.said[-3000:]
    shapes = {
        policy: json.loads((repository.folder / f"results/tiny/models/{policy}/config.json").read_text())
        for policy in ("shared/0/base", "shared/0/base_s", "A/0/ppo_s", "A/0/reward_model")
    }
    assert [s["hidden_size"] for s in shapes.values()] == [32, 16, 16, 32]
    assert [s["num_hidden_layers"] for s in shapes.values()] == [2, 1, 1, 2]
    meta = json.loads((repository.folder / "results/tiny/models/shared/0/base_s/meta.json").read_text())
    assert meta["model"]["hidden"] == 16 and meta["model"]["vocabulary"] == 512
