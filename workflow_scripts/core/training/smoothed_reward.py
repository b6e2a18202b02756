"""A reward model on labels that it smooths itself (iterative data smoothing: Zhu et al. 2024, arXiv 2401.16335, algorithm 1).

A pair's label y is how surely the chosen completion is the better one. It starts at 1, and at each visit of the pair it moves
towards the model's own opinion, so that pairs that the model cannot learn weigh less in later epochs.
"""

import torch
from torch.nn.functional import logsigmoid

from .. import workers
from ..lm.models import without_dropout
from .reward_pairs import described, margins
from .session import Session
from .trainer import fit

LABELS = "labels"  # a buffer of the model while it trains, so that a checkpoint holds it


def soft_loss(margin: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean over pairs of -[y log sigmoid(m) + (1 - y) log sigmoid(-m)], from (pairs,) and (pairs,)."""
    return -(labels * logsigmoid(margin) + (1 - labels) * logsigmoid(-margin)).mean()


def moved(labels: torch.Tensor, margin: torch.Tensor, smoothing: float) -> torch.Tensor:
    """(1 - smoothing) y + smoothing sigmoid(m)."""
    return (1 - smoothing) * labels + smoothing * torch.sigmoid(margin.detach())


def train(*, model, pairs: list[dict], session: Session) -> dict:
    """Train the reward model in place; returns {steps, history, tokens, centre}. The log has the mean label beside accuracy and margin."""
    rows = [{**pair, "place": i} for i, pair in enumerate(pairs)]
    model.register_buffer(LABELS, torch.ones(len(rows), device=model.device))
    fresh: dict[int, float] = {}  # of this worker's part of a batch

    def loss(model, batch: list[dict]):
        places = [row["place"] for row in batch]
        margin, y = margins(model, batch), getattr(model, LABELS)[places]
        fresh.update(zip(places, moved(y, margin, session.settings.smoothing).tolist(), strict=True))
        return soft_loss(margin, y), dict(accuracy=(margin > 0).float().mean(), margin=margin.mean(), label=y.mean())

    def move() -> None:
        for found in workers.gathered(fresh):
            for place, label in found.items():
                getattr(model, LABELS)[place] = label
        fresh.clear()

    fitted = fit(model=without_dropout(model), rows=rows, loss=loss, session=session, after=move)
    delattr(model, LABELS)
    return {**fitted, **described(model, pairs, session)}
