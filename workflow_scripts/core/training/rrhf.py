"""RRHF, ranking of sampled responses (Yuan et al. 2023, arXiv 2304.05302, equations 2 to 4).

p_i is the log-probability of response i averaged over its tokens (equation 2). The loss of a prompt is the sum of max(0, p_i - p_j) over
all pairs with reward r_i < r_j (equation 3), plus `sft_coef`, 1 in the paper, times the negative log-likelihood of the response
with the highest reward, summed over its tokens (equation 4). The responses are sampled from the parent once, before training; no
reference policy keeps the policy near it but the second term.
"""

import functools

import torch

from . import candidates, packing
from .models import without_dropout
from .trainer import Stage, fit


def ranking(means: torch.Tensor, rewards: torch.Tensor) -> torch.Tensor:
    """(prompts,): equation 3, from averaged log-probabilities and rewards, both (prompts, samples)."""
    worse = rewards[:, :, None] < rewards[:, None, :]  # i is worse than j
    return ((means[:, :, None] - means[:, None, :]).relu() * worse).sum((1, 2))


def loss(model, rows: list[dict], *, sft_coef: float):
    """(ranking and likelihood of the best, mean over prompts; mean of each term, and how often the best is the likeliest)."""
    packed = packing.pack([(r["prompt_ids"], r["completions"]) for r in rows], device=model.device)
    parts = packing.logprobs(packing.logits(model, packed).float(), packed).split(packed.sizes)
    given = torch.tensor([r["rewards"] for r in rows], device=model.device)
    sums, means = (torch.stack([part.sum() if total else part.mean() for part in parts]).view_as(given) for total in (True, False))
    best = given.argmax(1, keepdim=True)
    order, likelihood = ranking(means, given).mean(), -sums.gather(1, best).mean()
    accuracy = (means.argmax(1, keepdim=True) == best).float().mean()
    return order + sft_coef * likelihood, dict(ranking=order.detach(), best_loss=likelihood.detach(), accuracy=accuracy)


def train(*, model, rows: list[dict], sft_coef: float, stage: Stage) -> dict:
    """Train the policy in place on the candidates `rows`; returns {steps, history, tokens}."""
    made = fit(model=without_dropout(model), rows=rows, loss=functools.partial(loss, sft_coef=sft_coef), stage=stage)
    return {**made, "tokens": int(candidates.tokens(rows) * stage.epochs)}
