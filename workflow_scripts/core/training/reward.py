"""The reward model, trained on preference pairs (Bradley-Terry: Ziegler et al. 2019, arXiv 1909.08593, section 2.2)."""

from torch.nn.functional import logsigmoid

from . import packing
from .models import without_dropout
from .trainer import Stage, fit


def loss(model, pairs: list[dict]):
    """(-log sigmoid(chosen - rejected), mean over pairs; accuracy and mean margin)."""
    packed = packing.pack([(p["prompt_ids"], [p["chosen_ids"], p["rejected_ids"]]) for p in pairs], device=model.device)
    chosen, rejected = packing.scores(model, packed).float().view(-1, 2).unbind(1)
    margin = chosen - rejected
    return -logsigmoid(margin).mean(), dict(accuracy=(margin > 0).float().mean(), margin=margin.mean())


def train(*, model, pairs: list[dict], stage: Stage) -> dict:
    """Train the reward model in place; returns {steps, history, tokens}. Identical pairs carry no signal and cost a pass."""
    tokens = sum(2 * len(p["prompt_ids"]) + len(p["chosen_ids"]) + len(p["rejected_ids"]) for p in pairs)
    return {**fit(model=without_dropout(model), rows=pairs, loss=loss, stage=stage), "tokens": int(tokens * stage.epochs)}
