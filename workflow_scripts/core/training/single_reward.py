"""The reward model, trained on preference pairs (Bradley-Terry: Ziegler et al. 2019, arXiv 1909.08593, section 2.2)."""

from torch.nn.functional import logsigmoid

from ..lm.models import without_dropout
from .reward_pairs import described, margins
from .session import Session
from .trainer import fit


def loss(model, pairs: list[dict]):
    """(-log sigmoid(chosen - rejected), mean over pairs; accuracy and mean margin)."""
    margin = margins(model, pairs)
    return -logsigmoid(margin).mean(), dict(accuracy=(margin > 0).float().mean(), margin=margin.mean())


def train(*, model, pairs: list[dict], session: Session) -> dict:
    """Train the reward model in place; returns {steps, history, tokens, centre}. Identical pairs carry no signal and cost a pass."""
    return {**fit(model=without_dropout(model), rows=pairs, loss=loss, session=session), **described(model, pairs, session)}
