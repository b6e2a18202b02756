"""Checkpoints: create, load and save causal LMs and reward models.

A checkpoint directory describes itself: safetensors weights, tokenizer, and `meta.json` (policy, parent, settings, seed, steps,
tokens, versions, device, metrics). No pickle is ever loaded.
"""

import json
import shutil
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, LlamaConfig, LlamaForCausalLM

from ..data.fim import Fim
from ..errors import InputError, first_line
from . import packing, runtime


def create_scratch(*, vocabulary: int, hidden: int, layers: int, heads: int, intermediate: int, context: int, fim: Fim):
    """A small Llama-type model with tied embeddings and random weights (seed set by the caller)."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        eos_token_id=fim.end,
        pad_token_id=fim.pad,
        bos_token_id=None,
    )
    return packed(LlamaForCausalLM(config))


def create_base(*, model: dict, tokenizer, fim: Fim, context: int):
    """The base model before our training: from scratch, or a hub or local causal LM with embeddings for the added tokens."""
    if model["base"] == "scratch":
        size = {k: model[k] for k in ("hidden", "layers", "heads", "intermediate")}
        return create_scratch(vocabulary=len(tokenizer), context=context, fim=fim, **size)
    try:
        loaded = AutoModelForCausalLM.from_pretrained(
            str(Path(model["base"]).expanduser()),
            revision=model["revision"],
            trust_remote_code=model["trust_remote_code"],
            dtype=torch.float32,
            use_safetensors=True,
        )
    except Exception as e:
        raise InputError(
            f"model.base: the weights of {model['base']!r} could not be loaded ({first_line(e, 160)}); give a causal LM with safetensors weights"
        ) from e
    if len(tokenizer) > loaded.get_input_embeddings().num_embeddings:
        loaded.resize_token_embeddings(len(tokenizer))
    loaded.config.pad_token_id, loaded.config.eos_token_id = fim.pad, fim.end
    loaded.generation_config.eos_token_id, loaded.generation_config.pad_token_id = fim.end, fim.pad
    window = getattr(loaded.config, "sliding_window", None) if getattr(loaded.config, "use_sliding_window", True) else None
    if window and window < context:
        raise InputError(
            f"model.base: {model['base']!r} attends to {window} tokens at most, fewer than model.context {context}; lower it to {window}"
        )
    return packed(loaded)


def load_policy(path, *, device: str = "cpu"):
    """A causal LM checkpoint in fp32."""
    return packed(AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, use_safetensors=True).to(device))


def load_reward_model(path, *, fim: Fim, device: str = "cpu"):
    """A sequence classifier with one score, in fp32; from a policy's checkpoint its head is random (seed set by the caller)."""
    options = dict(num_labels=1, pad_token_id=fim.pad, dtype=torch.float32, use_safetensors=True)
    return packed(AutoModelForSequenceClassification.from_pretrained(path, **options).to(device))


def packed(model):
    """The model with the attention of packed rows. Raises InputError for an architecture whose attention cannot be exchanged or caps its scores."""
    if not model._can_set_attn_implementation():
        raise InputError(
            f"model.base: the attention of {type(model).__name__} cannot be exchanged for that of packed rows; "
            "give a model such as Llama, Qwen, StarCoder2, GPT-2 or GPT-NeoX"
        )
    if getattr(model.config, "attn_logit_softcapping", None):
        raise InputError(
            f"model.base: {type(model).__name__} caps its attention scores, which packed rows do not; give a model such as Llama or Qwen"
        )
    model.set_attn_implementation(packing.NAME)
    return model


def check_finite(model, *, section: str) -> None:
    """Raise InputError where a weight is NaN or infinite, before it is saved."""
    broken = next((name for name, p in model.named_parameters() if not torch.isfinite(p).all()), None)
    if broken:
        raise InputError(f"{section}: training left weights that are not finite, first {broken}; lower its learning_rate")


def without_dropout(model):
    """The model with every dropout layer switched off, in place: noise would spoil the log-probabilities that a pair's loss compares."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def save(*, model, tokenizer_path, path, meta: dict) -> None:
    """Write a checkpoint directory: weights, the run's tokenizer, and `meta` with versions, device and GPU memory added."""
    model.save_pretrained(path)
    for file in Path(tokenizer_path).iterdir():
        shutil.copyfile(file, Path(path) / file.name)
    about = {**meta, "device": model.device.type, "gpu_peak_mb": runtime.gpu_peak_mb(), "versions": runtime.versions()}
    about["parameters"] = sum(p.numel() for p in model.parameters())
    (Path(path) / "meta.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", encoding="utf-8")
