"""Jobs ask for what is estimated, with room, by their policy; where the model's size is unknown a profile decides."""

from types import SimpleNamespace

import pytest
from transformers import LlamaConfig

from tests.unit.estimate.test_cost import costs, resolved
from workflow_scripts.core.errors import InputError
from workflow_scripts.core.estimate.requests import Requests, known


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
    asked = ask(Requests(config, cards=0), rule, **{wildcard: name})
    assert room <= asked.mem_mb * 1e6 / expected.memory < room + 0.25 and asked.runtime >= max(30, 3 * expected.seconds / 60)
    assert (asked.gpu, asked.workers) == (0, 1) and ask(Requests(config, cards=4), rule, **{wildcard: name}).gpu == 1


def test_on_a_gpu_jobs_ask_for_less_time_and_for_memory_to_read_a_model_in():
    config = resolved({"model": {"hidden": 1024, "layers": 24, "heads": 16, "intermediate": 2816}})
    cpu, gpu = (ask(Requests(config, cards=cards), "train_base", policy="base") for cards in (0, 1))
    assert gpu.mem_mb < cpu.mem_mb and cpu.runtime > 20 * gpu.runtime


def test_a_card_is_as_fast_whatever_the_threads():
    large = {"model": {"hidden": 4096, "layers": 32, "heads": 32, "intermediate": 14336}}
    one, eight = (ask(Requests(resolved(large, {"training": {"threads": n}}), cards=1), "train_ppo", policy="ppo").runtime for n in (1, 8))
    assert one == eight > 30


LARGE = {  # a reward model of a base that is larger than the policies that learn from it
    "policies": {
        "base_l": {"method": "base", "hidden": 1024, "layers": 12, "heads": 16, "intermediate": 2816},
        "sft_l": {"method": "sft", "parent": "base_l"},
    },
    "reward_models": {
        "large": {"type": "single", "parent": "sft_l"},
        "both": {"type": "ensemble", "members": ["reward_model", "large"]},
    },
}


@pytest.mark.parametrize("reward", ["large", "both"])
def test_what_reads_a_reward_model_asks_for_its_size(reward):
    overlay = {**LARGE, "policies": {**LARGE["policies"], "ppo": {"reward_model": reward}}, "report": {"reward_model": reward}}
    small, large = (Requests(resolved(o), cards=0) for o in ({}, overlay))
    weights = 4 * known({**resolved()["model"]}, {"method": "base", **LARGE["policies"]["base_l"]}).shape.parameters / 1e6
    for rule, wildcards in (("train_ppo", dict(policy="ppo")), ("score_rewards", dict(policy="ipo"))):
        assert ask(large, rule, **wildcards).mem_mb > ask(small, rule, **wildcards).mem_mb + weights
    assert ask(large, "judge_pairs", judged=reward).mem_mb > ask(small, "judge_pairs", judged="reward_model").mem_mb + weights
    assert ask(large, "train_ipo", policy="ipo") == ask(small, "train_ipo", policy="ipo")


def test_a_reward_without_a_network_asks_for_no_card():
    config = resolved({"reward_models": {"parsing": {"type": "parses"}}, "report": {"reward_model": "parsing"}})
    requests = Requests(config, cards=4)
    assert ask(requests, "judge_pairs", judged="parsing").gpu == ask(requests, "score_rewards", policy="ppo").gpu == 0
    assert ask(requests, "judge_pairs", judged="reward_model").gpu == ask(requests, "probe_policy", policy="ppo").gpu == 1


def test_a_model_of_unknown_size_leaves_memory_and_time_to_the_profile():
    asked = ask(Requests(resolved({"model": {"base": "nobody/none"}}), cards=4), "train_sft", policy="sft")
    assert vars(asked) == {"gpu": 1, "workers": 1}


@pytest.mark.parametrize("cards", [0, 4])
def test_workers_have_threads_memory_and_a_card_each(cards):
    one, four = (Requests(resolved(overlay), cards=cards) for overlay in ({}, {"training": {"workers": 4}, "probes": {"workers": 2}}))
    for rule, wildcards, count in (("train_ppo", dict(policy="ppo"), 4), ("probe_policy", dict(policy="ppo"), 2), ("probe_parity", {}, 1)):
        alone, shared = ask(one, rule, **wildcards), ask(four, rule, **wildcards)
        assert (shared.workers, shared.gpu) == (count, count * bool(cards))
        assert shared.mem_mb == pytest.approx(count * alone.mem_mb, rel=0.1)
        named = SimpleNamespace(**wildcards)
        assert four.threads(rule, named) == count * one.threads(rule, named)


WORKERS = {
    "training": {"training": {"workers": 3}},
    "methods.ppo": {"methods": {"ppo": {"workers": 3}}},
    "reward_types.single": {"reward_types": {"single": {"workers": 3}}, "training": {"workers": 2}},
    "policies.ppo": {"policies": {"ppo": {"workers": 3}}},
    "reward_models.reward_model": {"reward_models": {"reward_model": {"workers": 3}}},
    "probes": {"probes": {"workers": 3}},
}


@pytest.mark.parametrize(("key", "overlay"), WORKERS.items())
def test_more_workers_than_cards_are_refused_and_without_any_are_processes_alone(key, overlay):
    config = resolved(overlay)
    assert Requests(config, cards=0) and Requests(config, cards=3)
    with pytest.raises(InputError, match=rf"^{key}.workers: 3 processes need a GPU each, and this run has `resources: \[gpu=2\]`; lower"):
        Requests(config, cards=2)


def test_a_checkpoint_from_elsewhere_asks_for_memory_and_for_no_card():
    config = resolved({"policies": {"mine": {"method": "external", "parent": "base", "path": "trained/{arm}"}}})
    assert {*Requests(config, cards=1).of_machine("train_external")} == {"mem_mb", "runtime"}


def test_a_hub_id_that_was_fetched_before_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    place = tmp_path / "models--nobody--one"
    (place / "refs").mkdir(parents=True)
    (place / "refs/main").write_text("a" * 40, encoding="utf-8")
    (place / "snapshots" / ("a" * 40)).mkdir(parents=True)
    config = LlamaConfig(hidden_size=96, num_hidden_layers=3, num_attention_heads=4, intermediate_size=160).to_json_string(use_diff=False)
    (place / "snapshots" / ("a" * 40) / "config.json").write_text(config, encoding="utf-8")
    base = {"method": "base"}
    assert known({"base": "nobody/one", "revision": None}, base).shape.hidden == 96
    assert (
        known({"base": "nobody/one", "revision": "b" * 40}, base) is None and known({"base": "nobody/two", "revision": None}, base) is None
    )
