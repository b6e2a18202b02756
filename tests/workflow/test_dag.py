"""The DAG: it is what the config says, Snakemake finds nothing to complain about, and bad config stops it at once."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.workflow.scenarios import rows


def jobs(result) -> Counter:
    """Jobs per rule of a dry run."""
    assert result.returncode == 0, result.stdout + result.stderr
    table = re.search(r"^job +count\n-+  -+\n(.*?)\n\n", result.stdout + result.stderr, re.DOTALL | re.MULTILINE)
    return Counter({name: int(count) for name, count in (line.split() for line in table[1].splitlines())})


def test_default_run_has_every_stage_in_both_arms(workflow):
    counts = jobs(workflow("--dry-run", tiny=False))
    expected = dict(
        train_base=1,
        train_sft=4,
        sample_preferences=2,
        train_reward_single=2,
        train_ppo=2,
        train_ipo=2,
        probe_policy=9,  # base once
        score_rewards=10,
        probe_parity=1,
    )
    assert {rule: counts[rule] for rule in expected} == expected


def test_overlay_of_three_ppo_entries_adds_exactly_their_jobs(workflow):
    before = jobs(workflow("--dry-run", tiny=False))
    sweep = {f"ppo_kl_{kl}": {"method": "ppo", "parent": "sft", "kl_coef": kl} for kl in (0.01, 0.1, 0.5)}
    after = jobs(workflow("--dry-run", tiny=False, overlay={"policies": sweep}))
    assert after - before == Counter(train_ppo=6, probe_policy=6, score_rewards=6, collect_extraction=3, total=21)
    assert not before - after


VARIANTS = {
    "rm_2": {"type": "single", "parent": "sft", "seed": 1},
    "soft": {"type": "smoothed", "parent": "sft"},
    "length": {"type": "length_only"},
    "worst": {"type": "ensemble", "members": ["reward_model", "rm_2"], "aggregate": "worst"},
}


def test_reward_variants_add_their_own_jobs_and_an_ensemble_has_none(workflow):
    before = jobs(workflow("--dry-run"))
    policy = {"method": "ppo", "parent": "sft", "reward_model": "worst", "length_penalty": 0.1}
    after = jobs(workflow("--dry-run", overlay={"reward_models": VARIANTS, "policies": {"ppo_worst": policy}}))
    of_policy = dict(train_ppo=2, probe_policy=2, score_rewards=2, collect_extraction=1)
    assert after - before == Counter(
        train_reward_single=2, train_reward_smoothed=2, train_reward_length_only=2, judge_pairs=8, **of_policy, total=21
    )
    assert not before - after


def test_a_policy_waits_for_the_members_of_its_ensemble_alone(workflow):
    overlay = {"reward_models": VARIANTS, "policies": {"ppo_worst": {"method": "ppo", "parent": "sft", "reward_model": "worst"}}}
    counts = jobs(workflow("--dry-run", "results/tiny/models/A/0/ppo_worst", overlay=overlay))
    rewards = [counts[f"train_reward_{name}"] for name in ("single", "smoothed", "length_only")]
    assert rewards == [2, 0, 0] and counts["train_ppo"] == 1


def test_every_method_trains_by_its_own_rule(workflow):
    before = jobs(workflow("--dry-run"))
    methods = {method: {"method": method, "parent": "sft"} for method in ("dpo", "slic", "rloo", "online_dpo", "rrhf", "iterative_dpo")}
    iteration = {"second": {"method": "iterative_dpo", "parent": "iterative_dpo"}}
    after = jobs(workflow("--dry-run", overlay={"policies": {**methods, **iteration}}))
    trained = dict(train_dpo=2, train_slic=2, train_rloo=2, train_online_dpo=2, train_rrhf=2, train_iterative_dpo=4)
    assert after - before == Counter(trained, probe_policy=14, score_rewards=14, collect_extraction=7, total=49)
    assert not before - after


def test_seeds_repeat_training_and_share_the_data(workflow):
    before, after = jobs(workflow("--dry-run")), jobs(workflow("--dry-run", overlay={"seeds": [0, 1]}))
    added = after - before
    assert added["train_base"] == 1 and added["train_ppo"] == 2 and added["score_rewards"] == 10
    assert not {"collect_corpus", "plant_arm", "summarize_memorization"} & set(added)


def test_removed_policy_and_method_without_policies(workflow):
    counts = jobs(workflow("--dry-run", overlay={"policies": {"ppo": None, "ipo": None}}))
    assert "train_ppo" not in counts and "train_ipo" not in counts and counts["probe_policy"] == 5


def test_lint(workflow):
    result = workflow("--lint")
    assert "Congratulations" in result.stderr, result.stderr


@pytest.mark.parametrize("command", ["snakefmt --check Snakefile rules", "ruff check .", "ruff format --check ."])
def test_files_are_formatted(command):
    program, *arguments = command.split()
    done = subprocess.run([Path(sys.executable).parent / program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


BAD = {  # tests/unit/test_config.py has each of these sentences, too
    "misspelt key": ({"policies": {"ppo": {"kl_coeff": 0.1}}}, "did you mean kl_coef?"),
    "renamed key": ({"kinds": {"sft": {"epochs": 2}}}, "config: kinds is now called methods; rename it"),
    "renamed setting": (
        {"policies": {"ppo": {"minibatch": 8}}},
        "policies.ppo.minibatch is now called policies.ppo.mini_batch_size; rename",
    ),
    "cycle": ({"policies": {"sft": {"parent": "sft_chosen"}}}, "in a cycle"),
    "unknown key": ({"colour": 1}, "unknown key colour"),
    "wrong type": ({"corpus": {"pools": {"sft": "many"}}}, "corpus.pools.sft must be of type integer"),
    "out of range": ({"probes": {"memorized_distance": -0.1}}, "probes.memorized_distance is -0.1 but must be at least 0"),
    "missing parent": (
        {"policies": {"late": {"method": "ipo", "parent": "nobody"}}},
        "policies.late.parent is 'nobody', which is no policy",
    ),
    "parent of the wrong method": ({"policies": {"late": {"method": "ppo", "parent": "base"}}}, "cannot start from base"),
    "path as a name": ({"policies": {"../x": {"method": "sft", "parent": "base"}}}, "is not a policy name"),
    "former key": ({"reward_model": {"parent": "sft"}}, "the key reward_model is no longer read"),
    "ensemble of one": ({"reward_models": {"all": {"type": "ensemble", "members": ["reward_model"]}}}, "is an ensemble of one"),
    "dose ladder": ({"canaries": {"doses": [1, 2, 3]}}, "does not divide"),
}


@pytest.mark.parametrize(("overlay", "sentence"), rows(BAD, always=4))
def test_bad_config_stops_before_any_work(workflow, overlay, sentence):
    result = workflow(overlay=overlay)
    said = [line for line in (result.stdout + result.stderr).splitlines() if sentence in line]
    assert result.returncode != 0 and len(said) == 1 and ";" in said[0]
    assert "Traceback" not in result.stderr and not (workflow.folder / "results").exists()
