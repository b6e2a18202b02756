"""Jobs ask for what is estimated, with room, by their policy; where the model's size is unknown a profile decides."""

from types import SimpleNamespace

import pytest

from tests.unit.estimate.test_cost import costs, resolved
from workflow_scripts.core.estimate.requests import Requests


def ask(requests: Requests, rule: str, **wildcards) -> tuple[int, int]:
    named = SimpleNamespace(**wildcards)
    return tuple(function(named) for function in requests.of(rule).values())


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
def test_every_rule_asks_for_more_than_is_expected(rule, name, wildcard):
    config = resolved()
    _, expected = costs(config)[(rule, name)]
    memory, minutes = ask(Requests(config, gpu=False), rule, **{wildcard: name})
    assert 1.2 < memory * 1e6 / expected.memory < 1.5 and minutes >= max(30, 3 * expected.seconds / 60)


def test_on_a_gpu_jobs_ask_for_less_time():
    config = resolved({"model": {"hidden": 1024, "layers": 24, "heads": 16, "intermediate": 2816}})
    cpu, gpu = (ask(Requests(config, gpu=gpu), "train_base", policy="base") for gpu in (False, True))
    assert cpu[0] == gpu[0] and cpu[1] > 20 * gpu[1]


def test_a_model_of_unknown_size_leaves_it_to_the_profile():
    assert Requests(resolved({"model": {"base": "nobody/none"}}), gpu=True).of("train_sft") == {}
