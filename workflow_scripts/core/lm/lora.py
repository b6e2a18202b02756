"""LoRA (Hu et al. 2021, arXiv 2106.09685): low-rank additions to linear layers, and a score head, are trained; all other weights are frozen.

Frozen weights lie in memory once: where a policy is its own reference, or the body of a reward model has a value model's additions, the
reader switches them off. A checkpoint is an ordinary model, which every later stage reads like any other. The additions are peft's.
"""

import contextlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator

import torch
from transformers.pytorch_utils import Conv1D

from .. import methods
from ..data.fim import Fim
from ..errors import InputError, first_line
from . import sharding

_LINEAR = (torch.nn.Linear, Conv1D)


def adapted(model, *, lora: methods.Lora, bf16: bool, section: str):
    """The model with an addition B A of rank r, times alpha / r, to each of its `target` layers, in place; only these and a score head are trained.

    B starts at zero, so that the model computes what it did before; A is random (seed set by the caller). Frozen weights are held as `shrunk`
    holds them. Raises InputError, under `section`, where no layer has a name of the target, or peft cannot add to one.
    """
    from peft import LoraConfig, inject_adapter_in_model

    targets = targeted(model, lora.target, section)
    if lora.load_in_8bit:
        in_8_bits(model)
    options = LoraConfig(r=lora.r, lora_alpha=lora.alpha, lora_dropout=0.0, target_modules=[], bias="none", init_lora_weights=True)
    named = {f"{name}.lora_A": None for name in targets}  # as target_modules, peft takes a layer named as experts once were for experts
    try:
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # that the options name no layer
            inject_adapter_in_model(options, model, state_dict=named)
    except Exception as e:  # ValueError, or whatever comes of a layer that has not what peft expects of one
        raise InputError(
            f"{section}.lora: {type(model).__name__} takes no additions ({first_line(e, 120)}); name other layers as lora.target, or leave it out"
        ) from e
    if hasattr(model, "score"):
        model.score.requires_grad_(True)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()
    return held(model) if bf16 else model


def shrunk(model, *, lora: methods.Lora, bf16: bool):
    """A model that is only read, its weights held as those are that additions are trained on."""
    if lora.load_in_8bit:
        in_8_bits(model)
    return held(model) if bf16 else model


def in_8_bits(model):
    """The model with the weights of its linear layers, the head's apart, as integers of 8 bits (Dettmers et al. 2022, arXiv 2208.07339), in place."""
    from bitsandbytes.nn import Int8Params, Linear8bitLt

    for name in targeted(model, methods.ALL_LINEAR, ""):
        layer = model.get_submodule(name)
        if type(layer) is torch.nn.Linear:
            small = Linear8bitLt(layer.in_features, layer.out_features, bias=False, has_fp16_weights=False)
            weight = Int8Params(layer.weight.data.cpu(), requires_grad=False, has_fp16_weights=False)
            small.weight = weight.to(layer.weight.device)  # which makes integers of it on its way to a card
            small.bias = layer.bias
            model.set_submodule(name, small.requires_grad_(False))
    model.is_loaded_in_8bit = True  # as peft asks
    return model


def targeted(model, target: str | list[str], section: str) -> list[str]:
    """Full names of the linear layers that `target` means: all but the head, or those whose name is, or ends in, one of a list. Raises InputError
    where one of the list names none.

    What stays as it is: experts that share one weight of three dimensions, what is a linear layer by its class alone (`_is_linear`), and layers that
    share a weight, to which their additions could not be merged.
    """
    heads = (model.get_output_embeddings(), getattr(model, "score", None))
    layers = {name: m for name, m in model.named_modules() if _is_linear(m) and not any(m is head for head in heads)}
    sharing = Counter(id(m.weight) for m in layers.values())
    linear = [name for name, m in layers.items() if sharing[id(m.weight)] == 1]
    if target == methods.ALL_LINEAR:
        return linear
    ends = lambda name, asked: name == asked or name.endswith(f".{asked}")  # noqa: E731
    if unknown := [asked for asked in target if not any(ends(name, asked) for name in linear)]:
        known = ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in linear))
        raise InputError(f"{section}.lora.target: {type(model).__name__} has no linear layer {unknown[0]!r}; choose among {known}")
    return [name for name in linear if any(ends(name, asked) for asked in target)]


@torch.no_grad()
def _is_linear(module) -> bool:
    """Whether a module computes what a linear layer does. One of a model's own class may not: a router gives a tuple, another layer rounds."""
    if type(module) in _LINEAR:
        return True
    if not isinstance(module, torch.nn.Linear):
        return False
    weight = module.weight
    if not weight.is_floating_point():  # in_8_bits has found it to be one
        return True
    row = torch.linspace(-1, 1, module.in_features, device=weight.device, dtype=weight.dtype)[None]
    expected = torch.nn.functional.linear(row, weight, None if module.bias is None else module.bias.to(weight.dtype))
    try:
        found = module(row)
    except Exception:  # it wants other rows
        return False
    same_shape = isinstance(found, torch.Tensor) and found.shape == expected.shape
    return same_shape and (found.is_meta or torch.allclose(found.to(weight.dtype), expected, rtol=1e-2, atol=1e-3))


def held(model):
    """The model with the frozen weights of its linear layers, experts and embeddings in bf16, in place, to be read under autocast.

    Everything else stays in fp32, and so does what the layers add up to, as under autocast with weights in fp32.
    """
    halved(model)
    for module in model.modules():
        if not isinstance(module, torch.nn.Embedding) or module.weight.requires_grad:
            continue
        if module.weight.dtype == torch.float32:
            module.weight.data = module.weight.data.bfloat16()
        if not module._forward_hooks:
            module.register_forward_hook(lambda module, ids, rows: rows.float())
    return model


def halved(model):
    """The model with the frozen weights of its linear layers and experts in bf16, in place, to be read under autocast: in half of the memory.

    Autocast would cast those of linear layers at every reading, so that the numbers are the same; experts that share one weight it leaves in
    fp32. Embeddings stay as they are, also where they are the head's weights.
    """
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    weights = [module.weight for module in model.modules() if isinstance(module, _LINEAR)]
    weights += [p for name, p in model.named_parameters() if p.ndim == 3 and "experts" in name.split(".")]
    for weight in weights:
        if weight.dtype == torch.float32 and not weight.requires_grad and id(weight) not in embeddings:
            weight.data = weight.data.bfloat16()
    return model


def check_tokens(fim: Fim, *, base: str, section: str) -> None:
    """Raise InputError where the FIM tokens are new to a base model: additions leave embeddings as they are, new ones at random."""
    if fim.style == "added":
        raise InputError(
            f"{section}.lora: the FIM tokens are new to {base}, and additions leave embeddings as they are, so that it would never learn them; "
            "set methods.base.lora to null, or give a model that has such tokens"
        )


def additions(model) -> dict[str, torch.nn.Module]:
    """The layers with additions, by name; none of a model that is trained as a whole."""
    return {name: module for name, module in model.named_modules() if hasattr(module, "lora_A")}


@contextlib.contextmanager
def switched_off(model) -> Iterator[None]:
    """Within the block a model computes what it did before its additions; one without any does so always."""
    layers = additions(model).values()
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


@torch.no_grad()
def merged(model, original: Callable[[], torch.nn.Module]):
    """The model that `original` gives, with the adapted model's additions added to its weights and its trained head.

    The sum is taken in fp32 from the original weights. The adapted model's frozen weights make room for them, and it cannot be used again.
    """
    learnt = sharding.trained(model)
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.new_empty(0)
    whole = original()
    for name, layer in additions(model).items():
        for addition in layer.active_adapters:
            whole.get_submodule(name).weight += layer.get_delta_weight(addition)
    for name, parameter in whole.named_parameters():
        if name in learnt:
            parameter.copy_(learnt[name])
    return whole


def sharing_body(model):
    """A sequence classifier on the very body of another one, with a score of its own."""
    import copy

    other = copy.copy(model)
    other._modules = {**model._modules, "score": copy.deepcopy(model.score)}
    return other
