"""RRHF, ranking of sampled responses (Yuan et al. 2023, arXiv 2304.05302, equations 2 to 4).

p_i is the log-probability of response i averaged over its tokens (equation 2). The loss of a prompt is the sum of max(0, p_i - p_j) over
all pairs with reward r_i < r_j (equation 3), plus `sft_coef`, 1 in the paper, times the negative log-likelihood of the response
with the highest reward, summed over its tokens (equation 4). The responses are sampled from the parent once, before training; only
the second term keeps the policy near its parent.
"""

import functools

import torch

from ..lm import packing
from ..lm.models import without_dropout
from . import candidates
from .session import Session
from .trainer import fit


def ranking(means: torch.Tensor, rewards: torch.Tensor) -> torch.Tensor:
    """(prompts,): equation 3, from averaged log-probabilities and rewards, both (prompts, samples)."""
    worse = rewards[:, :, None] < rewards[:, None, :]  # i is worse than j
    return ((means[:, :, None] - means[:, None, :]).relu() * worse).sum((1, 2))


def loss(model, rows: list[dict], *, sft_coef: float):
    """(ranking and likelihood of the best, mean over prompts; mean of each term, and how often the best is the likeliest)."""
    packed = packing.pack([(r["prompt_ids"], r["completions"]) for r in rows], device=model.device)
    parts = packing.logprobs(packing.logits(model, packed).float(), packed).split(packed.sizes)
    rewards = torch.tensor([r["rewards"] for r in rows], device=model.device)
    sums, means = (torch.stack([part.sum() if total else part.mean() for part in parts]).view_as(rewards) for total in (True, False))
    best = rewards.argmax(1, keepdim=True)
    order, likelihood = ranking(means, rewards).mean(), -sums.gather(1, best).mean()
    accuracy = (means.argmax(1, keepdim=True) == best).float().mean()
    return order + sft_coef * likelihood, dict(ranking=order.detach(), best_loss=likelihood.detach(), accuracy=accuracy)


def train(*, model, rows: list[dict], session: Session) -> dict:
    """Train the policy in place on the candidates `rows`; returns {steps, history, tokens}."""
    objective = functools.partial(loss, sft_coef=session.settings.sft_coef)
    fitted = fit(model=without_dropout(model), rows=rows, loss=objective, session=session)
    return {**fitted, "tokens": int(candidates.tokens(rows) * session.settings.epochs)}
