"""The reward model, trained on preference pairs (Bradley-Terry: Ziegler et al. 2019, arXiv 1909.08593, section 2.2)."""

import torch
from torch.nn.functional import logsigmoid

from . import packing
from .models import without_dropout
from .trainer import Stage, fit

CENTRED_ON = 256  # pairs, evenly spaced, over which a reward model's mean score is taken


def margins(model, pairs: list[dict]) -> torch.Tensor:
    """(pairs,): score of the chosen completion less that of the rejected one; the prompt is read once for both."""
    chosen, rejected = _scores(model, pairs).unbind(1)
    return chosen - rejected


def _scores(model, pairs: list[dict]) -> torch.Tensor:
    """(pairs, 2): scores of the chosen and of the rejected completion."""
    packed = packing.pack([(p["prompt_ids"], [p["chosen_ids"], p["rejected_ids"]]) for p in pairs], device=model.device)
    return packing.scores(model, packed).float().view(-1, 2)


def loss(model, pairs: list[dict]):
    """(-log sigmoid(chosen - rejected), mean over pairs; accuracy and mean margin)."""
    margin = margins(model, pairs)
    return -logsigmoid(margin).mean(), dict(accuracy=(margin > 0).float().mean(), margin=margin.mean())


def train(*, model, pairs: list[dict], stage: Stage) -> dict:
    """Train the reward model in place; returns {steps, history, tokens, centre}. Identical pairs carry no signal and cost a pass."""
    return {**fit(model=without_dropout(model), rows=pairs, loss=loss, stage=stage), **described(model, pairs, stage)}


def described(model, pairs: list[dict], stage: Stage) -> dict:
    """{tokens: that training read, centre: the trained model's mean score of completions of the pairs}."""
    tokens = sum(2 * len(p["prompt_ids"]) + len(p["chosen_ids"]) + len(p["rejected_ids"]) for p in pairs)
    return dict(tokens=int(tokens * stage.epochs), centre=centre(model, pairs, stage.batch_size))


@torch.no_grad()
def centre(model, pairs: list[dict], batch_size: int) -> float:
    """Mean score of chosen and rejected completions of evenly spaced pairs: the zero that pairs alone leave open."""
    model.eval()
    some = pairs[:: max(1, len(pairs) // CENTRED_ON)]
    return float(torch.cat([_scores(model, some[i : i + batch_size]).double() for i in range(0, len(some), batch_size)]).mean())
