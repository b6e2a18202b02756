"""DPO, direct preference optimization (Rafailov et al. 2023, arXiv 2305.18290, equation 7).

Log-ratios are **summed** over tokens. With h = log(pi/pi_ref) of the chosen completion less that of the rejected one, the loss of a
pair is -log sigmoid(beta h + alpha (|chosen| - |rejected|)), lengths in tokens. alpha, the setting `length_penalty`, is 0 in the
paper; above 0 it is the length-regularized R-DPO (Park et al. 2024, arXiv 2403.19159): a chosen completion that is longer needs a
smaller preference. Tests check both by hand, and the first against TRL's loss.
"""

import functools

import torch
from torch.nn.functional import logsigmoid

from ..lm.models import without_dropout
from . import pairwise
from .session import Session
from .trainer import fit


def loss(model, pairs: list[dict], *, beta: float, length_penalty: float):
    """(-log sigmoid of the margin, mean over pairs; accuracy and mean of h)."""
    h = pairwise.against_reference(model, pairs, average=False)
    longer = torch.tensor([len(p["chosen_ids"]) - len(p["rejected_ids"]) for p in pairs], device=h.device)
    return -logsigmoid(beta * h + length_penalty * longer).mean(), dict(accuracy=(h > 0).float().mean(), margin=h.mean())


def train(*, model, pairs: list[dict], length_penalty: float, session: Session) -> dict:
    """Train the policy in place; the model as it comes is the reference. Returns {steps, history, tokens}."""
    rows = pairwise.with_reference(reference=model, pairs=pairs, average=False, session=session)
    objective = functools.partial(loss, beta=session.settings.beta, length_penalty=length_penalty)
    return {**fit(model=without_dropout(model), rows=rows, loss=objective, session=session), "tokens": pairwise.tokens(pairs, session)}
