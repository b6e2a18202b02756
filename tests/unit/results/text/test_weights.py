"""The report says where numbers are not those of whole weights in fp32, and says nothing where they are."""

from snakemake.utils import update_config

from tests.conftest import SCHEMA
from workflow_scripts.core.config.resolve import resolve
from workflow_scripts.core.results.text.weights import by_trl, sentences


def test_nothing_is_said_of_the_default(config):
    assert sentences(config) == [] and by_trl(config) == ""


def test_precision_and_additions_are_named(defaults):
    lora = {"r": 8, "alpha": 16}
    overlay = {"policies": {"ppo": {"precision": "bf16", "lora": lora}, "ipo": {"precision": "bf16"}}, "probes": {"precision": "bf16"}}
    update_config(defaults, {**overlay, "reward_models": {"reward_model": {"lora": lora}}})
    assert sentences(resolve(defaults, SCHEMA)) == [
        "Probes, samples and rewards were computed in bf16, those of policies and of their references alike.",
        "Trained in bf16, references alike: ppo, ipo.",
        "Trained by LoRA, merged in fp32: ppo (rank 8), reward_model (rank 8).",
    ]


def test_what_trl_trained_is_named(defaults):
    update_config(defaults, {"policies": {"ipo": {"trainer": "trl"}}, "reward_models": {"reward_model": {"trainer": "trl"}}})
    resolved = resolve(defaults, SCHEMA)
    assert sentences(resolved) == [by_trl(resolved)] == ["Trained by TRL's trainers, all others by our own loops: ipo and reward_model."]
