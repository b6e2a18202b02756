"""Checkpoints: create, load and save causal LMs and reward models.

A checkpoint directory describes itself: safetensors weights, tokenizer, and `meta.json` (policy, parent, settings, seed, steps,
tokens, versions, device, metrics). No pickle is ever loaded.
"""

import json
import logging
import re
import shutil
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GenerationConfig,
    GgufConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
)

from ..data import gguf_files, model_source
from ..data.fim import Fim
from ..data.tokenizer import FIM_FILE, load_fim, trusts_code
from ..errors import InputError, first_line
from . import adapters, gguf_weights, reading, runtime, score_heads, sharding

log = logging.getLogger(__name__)
_BUFFER = re.compile(r"(^|\.)(inv_freq|masked_bias|position_ids|(attn|attention)\.bias)$")  # older libraries saved what is computed
_NOISE = re.compile("drop|jitter")  # in the name of a rate
_READ = 16  # tokens for which a model's output is checked


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
    return packed(LlamaForCausalLM(config), context=context)


def create_base(*, model: dict, tokenizer, fim: Fim, context: int):
    """The base model before our training: from scratch, or a hub or local causal LM with embeddings for the added tokens."""
    if model["base"] == "scratch":
        size = {k: model[k] for k in ("hidden", "layers", "heads", "intermediate")}
        return create_scratch(vocabulary=len(tokenizer), context=context, fim=fim, **size)
    loaded = load_pretrained(**{k: model[k] for k in ("base", "revision", "trust_remote_code")}, context=context)
    needed = max(tokenizer.get_vocab().values()) + 1
    if needed > loaded.get_input_embeddings().num_embeddings:
        loaded.resize_token_embeddings(needed)
    loaded.config.pad_token_id, loaded.config.eos_token_id = fim.pad, fim.end
    loaded.generation_config = GenerationConfig.from_model_config(loaded.config)  # the model's own may be one that cannot be saved
    return loaded


def load_pretrained(*, base: str, revision: str | None, trust_remote_code: bool, context: int, device: str | None = None):
    """A causal LM of any kind that model_source knows, in fp32; on the device "meta" it has no weights, but each was given its place.

    Raises InputError where it cannot be loaded, where a weight is missing, has another shape, has no place or is not finite, where no
    score head fits it, and where it cannot read rows of `context` tokens. What an unused head or a buffer brings is left out.
    """
    source = model_source.find(base, revision)
    loaded = _whole(source, base, trust_remote_code, device)
    for folder in source.adapters:
        loaded = adapters.merged(loaded, folder, "model.base")
    _check_positions(loaded.config, base, context)
    score_heads.check(loaded)
    if loaded.device.type == "meta":
        return loaded
    if broken := not_finite(loaded):
        raise InputError(f"model.base: {broken} of {base!r} is not finite; fetch the model again, or give another one")
    packed(loaded, context=context)
    _check_training(loaded, base)
    return loaded


def _whole(source: model_source.Source, base: str, trust_remote_code: bool, device: str | None):
    """A model as its files have it, de-quantised where it is a GGUF file's, with every weight in its place."""
    place, options = Path(source.place), dict(revision=source.revision, trust_remote_code=trust_remote_code, use_safetensors=True)
    if source.is_gguf and device == "meta":
        return gguf_weights.shell(place)
    if source.is_gguf:
        plain = GgufConfig(dequantize=True)  # which leaves no word of it in the model
        options = dict(gguf_file=place.name, config=gguf_files.config(place), quantization_config=plain)
    try:
        loaded, report = AutoModelForCausalLM.from_pretrained(
            str(place.parent) if source.is_gguf else source.place,
            **options,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are in the report
            device_map=device,
        )
    except Exception as e:
        raise InputError(
            f"model.base: the weights of {base!r} could not be loaded ({first_line(e, 160)}); give a causal LM with safetensors weights"
        ) from e
    _check_complete(loaded, report, base)
    return loaded


def _check_positions(config, base: str, context: int) -> None:
    """Raise InputError where the model turns positions in another way as soon as a row is longer than it was first trained for."""
    text = config.get_text_config()
    rope = getattr(text, "rope_parameters", None) or {}
    first = rope.get("original_max_position_embeddings") or getattr(text, "original_max_position_embeddings", None)
    if rope.get("rope_type") == "longrope" and first and first < context:
        raise InputError(
            f"model.base: {base!r} reads a row of more than {first} tokens otherwise from its start on (longrope), so that what stands beside a "
            f"row would matter; lower model.context to {first}"
        )


def _check_training(model, base: str) -> None:
    """Raise InputError where a model that can be read cannot be trained on tokens alone, as one of text and images, or one that writes into its
    own weights when it is read. Policies that learn from rewards are trained in evaluation mode, without dropout.
    """
    mode, before = model.training, [p._version for p in model.parameters()]
    ids = torch.arange(1, _READ, device=model.device)[None]
    learning = [p for p in model.parameters() if p.requires_grad]
    forget = [p.register_post_accumulate_grad_hook(lambda p: setattr(p, "grad", None)) for p in learning]  # each as soon as it is there
    try:
        with torch.random.fork_rng():
            for training in (True, False):
                model.train(training)(input_ids=ids, use_cache=False).logits.sum().backward()
    except Exception as e:
        raise InputError(
            f"model.base: {base!r} cannot be trained on text alone ({first_line(e, 120)}); give a model of text, or the text part of it"
        ) from e
    finally:
        model.train(mode)
        for hook in forget:
            hook.remove()
    if before != [p._version for p in model.parameters()]:
        raise InputError(f"model.base: {base!r} changes its own weights when it is read, so that they cannot be saved; give another model")


def _check_complete(model, report: dict, base: str) -> None:
    """Raise InputError where a weight would start at random, or is left out although the model itself should have it."""
    if wrong := sorted(report["mismatched_keys"]):
        name, found, expected = wrong[0]
        raise InputError(
            f"model.base: the weight {name} of {base!r} has the shape {tuple(found)} where its config.json says {tuple(expected)}; "
            "give weights and config.json of one model"
        )
    lost, more = sorted(report["missing_keys"]), sorted(key for key in report["unexpected_keys"] if not _BUFFER.search(key))
    if lost:
        other = f" (it has {more[0]}, which has no place)" if more else ""
        raise InputError(
            f"model.base: {base!r} lacks {len(lost)} of its weights, first {lost[0]}{other}; fetch or save the whole model again"
        )
    own = {model.base_model_prefix, *(name for name, _ in model.base_model.named_children())}
    if inner := [key for key in more if key.partition(".")[0] in own]:
        raise InputError(
            f"model.base: {base!r} has {len(inner)} weights that its config.json has no place for, first {inner[0]}; "
            "give weights and config.json of one model"
        )
    if more:
        log.warning("model.base: %d weights of %r belong to no causal LM and are left out, first %s", len(more), base, more[0])


def load_policy(path, *, device: str = "cpu"):
    """A causal LM checkpoint in fp32."""
    loaded = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, use_safetensors=True, **own_code(path)).to(device)
    return packed(loaded, context=_context(path))


def load_reward_model(path, *, fim: Fim, device: str = "cpu"):
    """A sequence classifier with one score, in fp32; from a policy's checkpoint its head is random (seed set by the caller)."""
    return packed(score_heads.load(path, pad_token_id=fim.pad, **own_code(path)).to(device), context=_context(path))


def own_code(path) -> dict[str, bool]:
    """The option that lets a checkpoint's own code run, where the config has said so of its base (tokenizer.make)."""
    return {"trust_remote_code": True} if trusts_code(path) else {}


def _context(path) -> int | None:
    """The context in tokens that a checkpoint was trained for; its model's own where it does not say."""
    if (Path(path) / FIM_FILE).is_file():
        return load_fim(path)[1]
    return getattr(AutoConfig.from_pretrained(path, **own_code(path)).get_text_config(), "max_position_embeddings", None)


def packed(model, *, context: int | None = None):
    """The model, set to read packed rows, or padded ones where it cannot. Raises InputError where neither gives its own numbers."""
    return reading.settled(model, context=context)


def not_finite(model) -> str | None:
    """What of a model is NaN or infinite: the first such weight, else its output for a row of its tokens; None where all is finite."""
    if broken := next((name for name, p in model.named_parameters() if not torch.isfinite(sharding.own(p)).all()), None):
        return f"the weight {broken}"
    size = reading.vocabulary(model)
    with torch.no_grad():
        output = model(input_ids=torch.arange(0, size, -(-size // _READ), device=model.device)[None], use_cache=False).logits
    return None if torch.isfinite(output).all() else "the output"


def without_dropout(model):
    """The model without any noise in training mode, in place: it would spoil the log-probabilities that a pair's loss compares.

    Rates of dropout, of dropped layers and of a router's jitter are set to 0 where a module keeps them; where it looks them up in the config, it finds
    0 there. The model's own config, which is saved with it, stays.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.p = 0.0
        for name in [name for name, value in vars(module).items() if isinstance(value, float) and _NOISE.search(name)]:
            setattr(module, name, 0.0)
        if isinstance(config := vars(module).get("config"), PreTrainedConfig) and not isinstance(module, PreTrainedModel):
            module.config = _WithoutNoise(config)
    return model


class _WithoutNoise:
    """A config as it is now, but for rates of noise."""

    def __init__(self, config: PreTrainedConfig):
        self._config = config

    def __getattr__(self, name: str):
        if name == "_config" or name.startswith("__"):  # while it is copied
            raise AttributeError(name)
        value = getattr(self._config, name)
        return 0.0 if isinstance(value, float) and _NOISE.search(name) else value


def save(*, model, tokenizer_path, path, meta: dict) -> None:
    """Write a checkpoint directory: weights, the run's tokenizer, and `meta` with versions, device and GPU memory added."""
    model.save_pretrained(path)
    shutil.copytree(tokenizer_path, path, copy_function=shutil.copyfile, dirs_exist_ok=True)
    about = {**meta, "device": model.device.type, "gpu_peak_mb": runtime.gpu_peak_mb(), "versions": runtime.versions()}
    about["parameters"] = sum(p.numel() for p in model.parameters())
    if because := getattr(model, "padded_because", None):
        about["padded_because"] = because
    (Path(path) / "meta.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", encoding="utf-8")
