"""LoRA (Hu et al. 2021, arXiv 2106.09685): SFT that trains low-rank additions to the linear layers alone, and merges them at the end.

What is saved is an ordinary checkpoint, so that every later stage and every probe reads it as any other. The additions are peft's.
"""

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer

from . import sft
from .trainer import Stage


def adapted(model, *, rank: int, alpha: float):
    """The model with an addition B A of `rank` times alpha / rank to each linear layer but the head, in place; only these are trained.

    B starts at zero, so that it says what it said before; A is random (seed set by the caller).
    """
    how = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules="all-linear", bias="none", init_lora_weights=True)
    return inject_adapter_in_model(how, model)


def merged(model):
    """The model with its additions added to the weights, in place: layers and names are again those that it had before."""
    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)]
    for name, module in layers:
        module.merge()
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, module.get_base_layer())
    del model.peft_config
    return model.requires_grad_(True)


def train(*, model, rows: list[dict], rank: int, alpha: float, stage: Stage) -> dict:
    """Train `model` in place on `rows` (prompt_ids, target_ids) and merge; returns {steps, history, tokens, trained} with the number of
    trained parameters.
    """
    model = adapted(model, rank=rank, alpha=alpha)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    record = sft.train(model=model, rows=rows, stage=stage)
    merged(model)
    return {**record, "trained": trained}
