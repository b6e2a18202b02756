"""IPO, direct preference learning without a reward model (Azar et al. 2023, arXiv 2310.12036).

Which log-ratios: **averaged over tokens**, as TRL does and its authors agreed with those of IPO. With h = mean over tokens of
log(pi/pi_ref) on chosen minus the same on rejected, the loss of a pair is (h - 1 / (2 beta))^2; tests hold it to that formula by hand.
"""

import functools

import torch

from ..progress import track
from . import packing
from .models import without_dropout
from .trainer import Stage, fit


def margins(model, pairs: list[dict]) -> torch.Tensor:
    """(pairs,): mean log-probability of the chosen completion's tokens less that of the rejected one's; the prompt is read once for both."""
    packed = packing.pack([(p["prompt_ids"], [p["chosen_ids"], p["rejected_ids"]]) for p in pairs], device=model.device)
    found = packing.logprobs(packing.logits(model, packed).float(), packed)
    means = torch.stack([part.mean() for part in found.split(packed.sizes)])
    return means[0::2] - means[1::2]


@torch.inference_mode()
def reference_margins(*, model, pairs: list[dict], batch_size: int, desc: str) -> list[float]:
    """The reference policy's margin of each pair: all that the loss needs of it, computed once."""
    model.eval()
    batches = track(range(0, len(pairs), batch_size), desc=f"{desc} reference", unit="batch")
    return [margin for start in batches for margin in margins(model, pairs[start : start + batch_size]).tolist()]


def loss(model, pairs: list[dict], *, beta: float):
    """(squared distance of h from 1 / (2 beta), mean over pairs; accuracy and mean of h)."""
    reference = torch.tensor([p["reference_margin"] for p in pairs], device=model.device)
    h = margins(model, pairs) - reference
    return (h - 1 / (2 * beta)).square().mean(), dict(accuracy=(h > 0).float().mean(), margin=h.mean())


def train(*, model, reference, pairs: list[dict], beta: float, stage: Stage) -> dict:
    """Train the policy in place against `reference`, which may be the policy itself: it is read before training. Returns {steps,
    history, tokens}.
    """
    found = reference_margins(model=reference, pairs=pairs, batch_size=stage.batch_size, desc=stage.desc)
    rows = [{**p, "reference_margin": margin} for p, margin in zip(pairs, found, strict=True)]
    tokens = sum(2 * len(p["prompt_ids"]) + len(p["chosen_ids"]) + len(p["rejected_ids"]) for p in pairs)
    made = fit(model=without_dropout(model), rows=rows, loss=functools.partial(loss, beta=beta), stage=stage)
    return {**made, "tokens": int(tokens * stage.epochs)}
