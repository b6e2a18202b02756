"""Sizes are read from configs of several families, and are those of the models that the library makes of them."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, GemmaConfig, GPT2Config, LlamaConfig, PhiConfig, Qwen2Config, Starcoder2Config

from workflow_scripts.core.estimate import requests, shapes
from workflow_scripts.core.training.memory import shape_of

SIZES = dict(vocab_size=512, hidden_size=64, intermediate_size=160, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2)
CONFIGS = {
    "llama": LlamaConfig(**SIZES),
    "tied llama": LlamaConfig(**SIZES, tie_word_embeddings=True),
    "llama with wide heads": LlamaConfig(**SIZES, head_dim=32),
    "qwen2": Qwen2Config(**SIZES),
    "gemma": GemmaConfig(**{**SIZES, "head_dim": 32}),
    "gpt2": GPT2Config(vocab_size=512, n_embd=64, n_layer=3, n_head=4, n_positions=32),
    "phi": PhiConfig(**{**SIZES, "num_key_value_heads": 4}),
    "starcoder2": Starcoder2Config(**SIZES),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_size_is_that_of_the_library_s_model(config):
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    found = shapes.of_config(json.loads(json.dumps(config.to_dict(), default=str)))
    real = sum(p.numel() for p in model.parameters())
    assert found.shape.parameters == pytest.approx(real, rel=0.12)  # positions and biases are left out
    matrices = sum(
        p.numel()
        for name, p in model.named_parameters()
        if p.ndim == 2 and not {"embed_tokens", "wte", "wpe", "lm_head"} & {*name.split(".")}
    )
    assert found.body == matrices


def test_scratch_is_what_memory_is_computed_from():
    made = shapes.scratch(vocabulary=512, hidden=64, layers=3, heads=4, intermediate=160)
    config = LlamaConfig(**{**SIZES, "num_key_value_heads": 4}, tie_word_embeddings=True)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert made.shape == shape_of(config, sum(p.numel() for p in model.parameters()))


def test_a_config_without_sizes_is_unknown():
    assert shapes.of_config({"hidden_size": 64}) is None and shapes.of_config({}) is None


def test_a_folder_s_size_is_known_and_a_hub_id_s_is_not(tmp_path):
    (tmp_path / "config.json").write_text(CONFIGS["llama"].to_json_string(use_diff=False), encoding="utf-8")
    model = dict(base=str(tmp_path), hidden=1)
    assert requests.known(model, {"method": "base"}).shape.hidden == 64
    assert requests.known({"base": "nobody/none"}, {"method": "base"}) is None
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    assert requests.known(model, {"method": "base"}) is None
