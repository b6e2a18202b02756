"""SLiC-HF, sequence likelihood calibration (Zhao et al. 2023, arXiv 2305.10425, equation 1), directly on the preference pairs.

The loss of a pair is max(0, delta - log p(chosen) + log p(rejected)) - sft_coef log p(chosen), log-probabilities summed over tokens. No
reference model: the second term keeps the policy at what the chosen completions look like (here they are the true continuations, which
are the paper's target of that term). TRL calls the first term loss_type="hinge", measures margins against a reference policy as
DPO does, scales it by its beta, and has no second term: with a reference that prefers neither completion, its loss is
max(0, 1 - beta (log p(chosen) - log p(rejected))), beta times ours at delta = 1 / beta. A test holds ours to that.
"""

import functools

import torch

from . import pairwise
from .models import without_dropout
from .trainer import Stage, fit


def loss(model, pairs: list[dict], *, delta: float, sft_coef: float):
    """(hinge and likelihood of the chosen, mean over pairs; accuracy, mean margin, and mean log-probability of the chosen)."""
    chosen, rejected = pairwise.likelihoods(model, pairs, average=False).unbind(1)
    margin = chosen - rejected
    found = torch.relu(delta - margin) - sft_coef * chosen
    return found.mean(), dict(accuracy=(margin > 0).float().mean(), margin=margin.mean(), chosen=chosen.mean())


def train(*, model, pairs: list[dict], delta: float, sft_coef: float, stage: Stage) -> dict:
    """Train the policy in place; returns {steps, history, tokens}."""
    made = functools.partial(loss, delta=delta, sft_coef=sft_coef)
    return {**fit(model=without_dropout(model), rows=pairs, loss=made, stage=stage), "tokens": int(pairwise.tokens(pairs) * stage.epochs)}
