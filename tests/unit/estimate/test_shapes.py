"""Sizes are read from configs of several families, and are those of the models that the library makes of them."""

import json

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    DeepseekV3Config,
    FalconConfig,
    GemmaConfig,
    GPT2Config,
    GptOssConfig,
    LlamaConfig,
    MixtralConfig,
    MptConfig,
    NemotronConfig,
    OlmoeConfig,
    PhiConfig,
    Qwen2Config,
    Qwen2MoeConfig,
    Qwen3MoeConfig,
    Starcoder2Config,
)

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
    "nemotron": NemotronConfig(**SIZES),
    "falcon": FalconConfig(vocab_size=512, hidden_size=64, num_hidden_layers=3, num_attention_heads=4),
    "mpt": MptConfig(vocab_size=512, d_model=64, n_heads=4, n_layers=3),
}
LATENT = dict(kv_lora_rank=32, q_lora_rank=32, qk_rope_head_dim=8, v_head_dim=16, qk_nope_head_dim=8, n_group=1, topk_group=1)
EXPERTS = {
    "mixtral": (MixtralConfig, dict(num_local_experts=4)),
    "olmoe": (OlmoeConfig, dict(num_experts=4)),
    "gpt-oss": (GptOssConfig, dict(num_local_experts=4, head_dim=16)),
    "qwen3 with experts": (Qwen3MoeConfig, dict(num_experts=4, moe_intermediate_size=48)),
    "qwen2 with a shared expert": (Qwen2MoeConfig, dict(num_experts=4, moe_intermediate_size=48, shared_expert_intermediate_size=64)),
    "deepseek with a dense layer": (
        DeepseekV3Config,
        dict(n_routed_experts=4, moe_intermediate_size=48, first_k_dense_replace=1, **LATENT),
    ),
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
        if p.ndim == 2 and not {"embed_tokens", "wte", "wpe", "lm_head", "word_embeddings"} & {*name.split(".")}
    )
    assert found.body == matrices


@pytest.mark.parametrize(("kind", "sizes"), EXPERTS.values(), ids=EXPERTS)
def test_experts_all_lie_in_memory_and_some_read_a_token(kind, sizes):
    two, four = (kind(**SIZES, **sizes, num_experts_per_tok=active) for active in (2, 4))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(two)
    some, every = (shapes.of_config(json.loads(json.dumps(config.to_dict(), default=str))) for config in (two, four))
    real = sum(p.numel() for p in model.parameters())
    assert some.shape.parameters == every.shape.parameters == pytest.approx(real, rel=0.12)  # latents of attention are not told apart
    sparse = two.num_hidden_layers - sizes.get("first_k_dense_replace", 0)
    assert every.body - some.body == sparse * 2 * 3 * 64 * sizes.get("moe_intermediate_size", 160)


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
    model = dict(base=str(tmp_path), hidden=1, revision=None)
    assert requests.known(model, {"method": "base"}).shape.hidden == 64
    assert requests.known({"base": "nobody/none", "revision": None}, {"method": "base"}) is None
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    assert requests.known(model, {"method": "base"}) is None
