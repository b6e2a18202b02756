"""Jobs ask for what is estimated, with room, by their policy; where the model's size is unknown a profile decides."""

from types import SimpleNamespace

import pytest

from tests.unit.estimate.test_cost import costs, resolved
from workflow_scripts.core.estimate.requests import Requests


def ask(requests: Requests, rule: str, **wildcards) -> SimpleNamespace:
    named = SimpleNamespace(**wildcards)
    return SimpleNamespace(**{key: function(named) for key, function in requests.of(rule).items()})


@pytest.mark.parametrize("room", [1.25, 2.1])
@pytest.mark.parametrize(
    ("rule", "name", "wildcard"),
    [
        ("train_base", "base", "policy"),
        ("train_ppo", "ppo", "policy"),
        ("train_reward_single", "reward_model", "reward"),
        ("judge_pairs", "reward_model", "judged"),
        ("sample_preferences", "", "seed"),
        ("probe_parity", "", "arm"),
    ],
)
def test_every_rule_asks_for_more_than_is_expected(rule, name, wildcard, room, monkeypatch):
    """A quarter more where tcmalloc is there, else twice as much, as glibc leaves holes."""
    monkeypatch.setattr("workflow_scripts.core.estimate.cost.tcmalloc", lambda: "/lib/libtcmalloc.so.4" if room < 2 else None)
    config = resolved()
    _, expected = costs(config)[(rule, name)]
    asked = ask(Requests(config, gpu=False), rule, **{wildcard: name})
    assert room <= asked.mem_mb * 1e6 / expected.memory < room + 0.25 and asked.runtime >= max(30, 3 * expected.seconds / 60)
    assert (asked.gpu, asked.workers) == (0, 1) and ask(Requests(config, gpu=True), rule, **{wildcard: name}).gpu == 1


def test_on_a_gpu_jobs_ask_for_less_time():
    config = resolved({"model": {"hidden": 1024, "layers": 24, "heads": 16, "intermediate": 2816}})
    cpu, gpu = (ask(Requests(config, gpu=gpu), "train_base", policy="base") for gpu in (False, True))
    assert gpu.mem_mb == pytest.approx(cpu.mem_mb, rel=0.05) and cpu.runtime > 20 * gpu.runtime


def test_a_model_of_unknown_size_leaves_memory_and_time_to_the_profile():
    asked = ask(Requests(resolved({"model": {"base": "nobody/none"}}), gpu=True), "train_sft", policy="sft")
    assert vars(asked) == {"gpu": 1, "workers": 1}


@pytest.mark.parametrize("gpu", [False, True])
def test_workers_have_threads_memory_and_a_card_each(gpu):
    one, four = (Requests(resolved(overlay), gpu=gpu) for overlay in ({}, {"training": {"workers": 4}, "probes": {"workers": 2}}))
    for rule, wildcards, count in (("train_ppo", dict(policy="ppo"), 4), ("probe_policy", dict(policy="ppo"), 2), ("probe_parity", {}, 1)):
        alone, shared = ask(one, rule, **wildcards), ask(four, rule, **wildcards)
        assert (shared.workers, shared.gpu, shared.mem_mb) == (count, count * gpu, count * alone.mem_mb)
        named = SimpleNamespace(**wildcards)
        assert four.threads(rule, named) == count * one.threads(rule, named)
