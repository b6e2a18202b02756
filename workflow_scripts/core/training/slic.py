"""SLiC-HF, sequence likelihood calibration (Zhao et al. 2023, arXiv 2305.10425, equation 1), directly on the preference pairs.

The loss of a pair is max(0, delta - log p(chosen) + log p(rejected)) - sft_coef log p(chosen), log-probabilities summed over tokens.
There is no reference policy: the second term keeps the policy near the chosen completions (here the true continuations, which
are the paper's target of that term). TRL calls the first term loss_type="hinge", measures margins against a reference policy as
in DPO, scales it by its beta, and has no second term: with a reference that prefers neither completion, its loss is
max(0, 1 - beta (log p(chosen) - log p(rejected))), which is beta times ours at delta = 1 / beta. A test compares the two.
"""

import functools

import torch

from ..lm.models import without_dropout
from . import pairwise
from .session import Session
from .trainer import fit


def loss(model, pairs: list[dict], *, delta: float, sft_coef: float):
    """(hinge and likelihood of the chosen, mean over pairs; accuracy, mean margin, and mean log-probability of the chosen)."""
    chosen, rejected = pairwise.likelihoods(model, pairs, average=False).unbind(1)
    margin = chosen - rejected
    losses = torch.relu(delta - margin) - sft_coef * chosen
    return losses.mean(), dict(accuracy=(margin > 0).float().mean(), margin=margin.mean(), chosen=chosen.mean())


def train(*, model, pairs: list[dict], session: Session) -> dict:
    """Train the policy in place; returns {steps, history, tokens}."""
    objective = functools.partial(loss, delta=session.settings.delta, sft_coef=session.settings.sft_coef)
    return {**fit(model=without_dropout(model), rows=pairs, loss=objective, session=session), "tokens": pairwise.tokens(pairs, session)}
