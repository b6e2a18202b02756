"""FSDP2 (Zhao et al. 2023, arXiv 2304.11277): each worker holds its share of every layer's weights, gradients and optimizer state.

A layer is put together while it is read; embeddings and head are whole in every worker. Whatever else handles weights (the optimizer,
checkpoints, checks) takes a worker's `own` of them, ordinary parameters in the memory of the shares. As putting a layer together takes all
workers, all of them read a sharded model equally often. Under autocast to bf16 the casts of its weights stay until the backward pass, but with
gradient checkpointing.
"""

from collections import Counter
from collections.abc import Callable

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, share_comm_ctx
from torch.distributed.tensor import DTensor
from transformers.modeling_layers import GradientCheckpointingLayer

from .. import workers
from ..errors import InputError


def layers(model, section: str) -> list[torch.nn.Module]:
    """The blocks of a model that are divided, outermost ones. Raises InputError, under `section`, where it has none."""
    blocks = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    within = {inner for block in blocks for inner in block.modules() if inner is not block}
    if found := [block for block in blocks if block not in within]:
        return found
    raise InputError(f"{section}.fsdp: {type(model).__name__} has no blocks that workers could divide; set it to false")


def sharded(model, section: str):
    """The model with its layers divided among all workers of the job, in place. A weight that two places share, or of one number, stays whole."""
    mesh = init_device_mesh(model.device.type, (workers.size(),))
    places = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
    undivided = {p for p in model.parameters() if places[id(p)] > 1 or p.ndim == 0}
    blocks = layers(model, section)
    for layer in blocks:
        fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=undivided & {*layer.parameters()})
        layer.set_gradient_divide_factor(1.0)  # pieces carry their share of the batch already
        layer.set_force_sum_reduction_for_comms(True)  # gloo knows no other
        layer.set_reduce_scatter_unused_params(True)  # an expert may have read nothing in one worker alone
    share_comm_ctx(blocks)  # else each has streams and memory of its own on a card
    _read_once(model)
    return model


@torch.no_grad()
def _read_once(model) -> None:
    """Let a model make its buffers, which must not first be made in inference mode."""
    training = model.training
    model.eval()(input_ids=torch.zeros(1, 2, dtype=torch.long, device=model.device), use_cache=False)
    model.train(training)
    if model.device.type == "cuda":
        torch.cuda.empty_cache()


def is_sharded(model) -> bool:
    """Whether workers have divided the model."""
    return any(isinstance(p, DTensor) for p in model.parameters())


def own(parameter: torch.Tensor) -> torch.Tensor:
    """What this worker holds of a parameter: its share, the same object at every call, or all of one that is not divided."""
    if not isinstance(parameter, DTensor):
        return parameter
    if not hasattr(parameter, "own"):
        parameter.own = torch.nn.Parameter(parameter.to_local().detach())
        parameter.own.shared_out = parameter
    return parameter.own


def trained(model) -> dict[str, torch.nn.Parameter]:
    """The parameters that are trained, by name, as far as this worker holds them; tied ones once."""
    return {name: own(p) for name, p in model.named_parameters() if p.requires_grad}


def state(model) -> dict[str, torch.Tensor]:
    """What a checkpoint needs of a model of which not all is trained, or here: `trained`, and its buffers."""
    saved = model.state_dict().keys()
    buffers = {name: x for name, x in model.named_buffers() if name in saved}
    return {name: x.detach().contiguous() for name, x in (trained(model) | buffers).items()}


@torch.no_grad()
def load_state(model, saved: dict[str, torch.Tensor]) -> None:
    """Put back what `state` gave, in place."""
    for name, x in (trained(model) | dict(model.named_buffers())).items():
        if name in saved:
            x.copy_(saved[name])


@torch.no_grad()
def whole(model, original: Callable[[], torch.nn.Module]):
    """The model that `original` gives, with the trained weights of a sharded one: in the first worker; the others give it their shares, and get None."""
    made = original() if workers.is_first() else None
    for name, parameter in model.named_parameters():
        trained = parameter.full_tensor() if isinstance(parameter, DTensor) else parameter
        if made is not None:
            made.get_parameter(name).copy_(trained)
    for name, buffer in model.named_buffers() if made is not None else ():
        made.get_buffer(name).copy_(buffer)
    return made


@torch.no_grad()
def clip_gradients(parameters, most: float) -> torch.Tensor:
    """Scale the gradients of `own` parameters so that their norm, over all workers, is at most this; returns the norm before."""
    kept = [p for p in parameters if p.grad is not None]
    squares = lambda chosen: sum((p.grad.float().square().sum() for p in chosen), torch.zeros((), device=kept[0].device))  # noqa: E731
    of_shares = workers.summed({"": squares(p for p in kept if hasattr(p, "shared_out"))})[""]
    norm = (of_shares + squares(p for p in kept if not hasattr(p, "shared_out"))).sqrt()
    torch.nn.utils.clip_grads_with_norm_(kept, most, norm)
    return norm
