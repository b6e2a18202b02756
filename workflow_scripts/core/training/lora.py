"""LoRA (Hu et al. 2021, arXiv 2106.09685): SFT that trains only low-rank additions to the linear layers and merges them at the end.

The result is an ordinary checkpoint, which every later stage and every probe reads like any other. The additions are peft's.
"""

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer

from . import sft
from .session import Session


def adapted(model, *, r: int, alpha: float):
    """The model with an addition B A of rank r, times alpha / r, to each linear layer but the head, in place; only these are trained.

    B starts at zero, so that the model computes what it did before; A is random (seed set by the caller). Experts that share one weight
    of three dimensions are no linear layers and stay as they are: an addition to them cannot be merged.
    """
    targets = "all-linear"
    if any(p.ndim == 3 and "experts" in name for name, p in model.named_parameters()):
        head = model.get_output_embeddings()
        targets = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and module is not head]
    options = LoraConfig(r=r, lora_alpha=alpha, lora_dropout=0.0, target_modules=targets, bias="none", init_lora_weights=True)
    return inject_adapter_in_model(options, model)


def merged(model):
    """The model with its additions added to the weights, in place: layers and names are again those that it had before."""
    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)]
    for name, module in layers:
        module.merge()
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, module.get_base_layer())
    del model.peft_config
    return model.requires_grad_(True)


def train(*, model, rows: list[dict], session: Session) -> dict:
    """Train `model` in place on `rows` (prompt_ids, target_ids) and merge; returns {steps, history, tokens, trained}.

    `trained` is the number of trained parameters.
    """
    model = adapted(model, r=session.settings.lora_r, alpha=session.settings.lora_alpha)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    record = sft.train(model=model, rows=rows, session=session)
    merged(model)
    return {**record, "trained": trained}
