"""What the losses on preference pairs share: log-probabilities of both completions, and the margin that a reference policy has."""

import torch

from ..progress import track
from . import packing


def likelihoods(model, pairs: list[dict], *, average: bool) -> torch.Tensor:
    """(pairs, 2): log-probability in nats of each pair's chosen and rejected completion, summed over its tokens or averaged over them.

    The prompt is read once for both.
    """
    packed = packing.pack([(p["prompt_ids"], [p["chosen_ids"], p["rejected_ids"]]) for p in pairs], device=model.device)
    found = packing.logprobs(packing.logits(model, packed).float(), packed)
    parts = found.split(packed.sizes)
    return torch.stack([part.mean() if average else part.sum() for part in parts]).view(-1, 2)


def margins(model, pairs: list[dict], *, average: bool) -> torch.Tensor:
    """(pairs,): log-probability of the chosen completion less that of the rejected one."""
    found = likelihoods(model, pairs, average=average)
    return found[:, 0] - found[:, 1]


def against_reference(model, pairs: list[dict], *, average: bool) -> torch.Tensor:
    """(pairs,): the model's margin less the reference's, which rows made by `with_reference` hold."""
    return margins(model, pairs, average=average) - torch.tensor([p["reference_margin"] for p in pairs], device=model.device)


@torch.inference_mode()
def with_reference(*, reference, pairs: list[dict], average: bool, batch_size: int, desc: str) -> list[dict]:
    """The pairs, each with its `reference_margin`: all that a loss needs of the reference policy, computed once."""
    reference.eval()
    batches = track(range(0, len(pairs), batch_size), desc=f"{desc} reference", unit="batch")
    found = [m for start in batches for m in margins(reference, pairs[start : start + batch_size], average=average).tolist()]
    return [{**p, "reference_margin": margin} for p, margin in zip(pairs, found, strict=True)]


def tokens(pairs: list[dict]) -> int:
    """Tokens of both sequences of all pairs, the prompt counted with each."""
    return sum(2 * len(p["prompt_ids"]) + len(p["chosen_ids"]) + len(p["rejected_ids"]) for p in pairs)
