"""What reward models that train on preference pairs share: scores of both completions, and the centre of a trained model's scores."""

import torch

from .. import workers
from ..lm import packing
from . import pairwise, pieces
from .session import Session

CENTRED_ON = 256  # pairs, evenly spaced, over which a reward model's mean score is taken


def scores(model, pairs: list[dict]) -> torch.Tensor:
    """(pairs, 2): scores of the chosen and of the rejected completion; the prompt is read once for both."""
    return packing.scores(model, pairwise.pack(pairs, device=model.device)).float().view(-1, 2)


def margins(model, pairs: list[dict]) -> torch.Tensor:
    """(pairs,): score of the chosen completion less that of the rejected one."""
    chosen, rejected = scores(model, pairs).unbind(1)
    return chosen - rejected


def described(model, pairs: list[dict], session: Session) -> dict:
    """{tokens: read by training, centre: the trained model's mean score of completions of the pairs}."""
    return dict(tokens=pairwise.tokens(pairs, session), centre=centre(model, pairs, session))


@torch.no_grad()
def centre(model, pairs: list[dict], session: Session) -> float:
    """Mean score of chosen and rejected completions of evenly spaced pairs: pairs alone leave a reward's zero open."""
    model.eval()
    some, settings = pairs[:: max(1, len(pairs) // CENTRED_ON)], session.settings
    read = pieces.batches(some, size=settings.batch_size, limit=settings.micro_batch_tokens)
    with session.autocast():
        found = workers.divided(read, lambda piece: scores(model, piece).double().cpu(), in_step=session.fsdp)
    return float(torch.cat(found).mean())
