"""What the losses on preference pairs share: log-probabilities of both completions, and the margin of a reference policy."""

import torch

from .. import workers
from ..lm import packing
from ..progress import track
from . import pieces
from .session import Session


def pack(pairs: list[dict], *, device) -> packing.Pack:
    """Each pair's prompt once, followed by its chosen and its rejected completion."""
    return packing.pack([(p["prompt_ids"], [p["chosen_ids"], p["rejected_ids"]]) for p in pairs], device=device)


def likelihoods(model, pairs: list[dict], *, average: bool) -> torch.Tensor:
    """(pairs, 2): log-probability in nats of each pair's chosen and rejected completion, summed or averaged over its tokens."""
    packed = pack(pairs, device=model.device)
    parts = packing.logprobs(packing.logits(model, packed).float(), packed).split(packed.sizes)
    return torch.stack([part.mean() if average else part.sum() for part in parts]).view(-1, 2)


def margins(model, pairs: list[dict], *, average: bool) -> torch.Tensor:
    """(pairs,): log-probability of the chosen completion less that of the rejected one."""
    both = likelihoods(model, pairs, average=average)
    return both[:, 0] - both[:, 1]


def against_reference(model, pairs: list[dict], *, average: bool) -> torch.Tensor:
    """(pairs,): the model's margin less the reference's, which `with_reference` has added to the rows."""
    return margins(model, pairs, average=average) - torch.tensor([p["reference_margin"] for p in pairs], device=model.device)


@torch.inference_mode()
def with_reference(*, reference, pairs: list[dict], average: bool, session: Session) -> list[dict]:
    """The pairs, each with its `reference_margin`: all that a loss needs of the reference policy, computed once, as training reads them."""
    reference.eval()
    settings, desc = session.settings, session.name and f"{session.name} reference"
    read = [*pieces.batches(pairs, size=settings.batch_size, limit=settings.micro_batch_tokens)]
    with session.autocast():
        found = workers.divided(
            track(read, desc=desc, unit="batch"), lambda piece: margins(reference, piece, average=average).tolist(), in_step=session.fsdp
        )
    computed = [margin for piece in found for margin in piece]
    return [{**p, "reference_margin": margin} for p, margin in zip(pairs, computed, strict=True)]


def tokens(pairs: list[dict], session: Session) -> int:
    """Tokens that training reads: both sequences of all pairs, the prompt counted with each, times the epochs."""
    once = sum(2 * len(p["prompt_ids"]) + len(p["chosen_ids"]) + len(p["rejected_ids"]) for p in pairs)
    return int(once * session.settings.epochs)
