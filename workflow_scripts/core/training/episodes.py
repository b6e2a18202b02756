"""Episodes: prompts with one completion each, read without padding, and the steps and losses that methods with rollouts share."""

import itertools
from collections import defaultdict
from collections.abc import Callable
from operator import itemgetter
from typing import Any

import torch

from .. import workers
from ..lm import lora, packing
from ..methods import OnPolicy
from . import pieces, rewards
from .session import Session


def pack(prompts: list[list[int]], completions: list[list[int]], *, device) -> packing.Pack:
    """Prompts with one completion each in a row without padding; neighbours with the same prompt share one reading of it."""
    groups = itertools.groupby(zip(prompts, completions, strict=True), key=itemgetter(0))
    return packing.pack([(prompt, [completion for _, completion in group]) for prompt, group in groups], device=device)


def batches(prompts: list[list[int]], completions: list[list[int]], settings: OnPolicy) -> list[slice]:
    """The episodes in their order, at most a mini-batch at a time, and that in pieces of `micro_batch_tokens`."""

    def tokens(places: list[int]) -> int:
        read = [prompts[i] for at, i in enumerate(places) if at == 0 or prompts[i] != prompts[i - 1]]
        return sum(map(len, read)) + sum(len(completions[i]) for i in places)

    size, places = settings.mini_batch_size, [*range(len(prompts))]
    parts = [
        part
        for start in range(0, len(places), size)
        for part in pieces.of_all(places[start : start + size], limit=settings.micro_batch_tokens, tokens=tokens)
    ]
    return [slice(part[0], part[-1] + 1) for part in parts]


def logprobs(model, packed: packing.Pack, temperature: float) -> torch.Tensor:
    """(tokens of all completions,): their log-probabilities at the temperature, in nats."""
    return packing.logprobs(packing.logits(model, packed).float() / temperature, packed)


def likelihoods(model, packed: packing.Pack, temperature: float) -> torch.Tensor:
    """(episodes,): log-probability of each whole completion at the temperature, in nats."""
    return torch.stack([part.sum() for part in logprobs(model, packed, temperature).split(packed.sizes)])


@torch.no_grad()
def judged(
    *, policy, reference, reward: rewards.Reward, prompts, completions, temperature: float, session: Session
) -> dict[str, torch.Tensor]:
    """(episodes,) each: `policy`, `reference`, their likelihoods of the completion at the temperature, its `score`, and whether it has `ended`; read
    in batches to bound their memory.
    """
    settings = session.settings
    ended = torch.tensor([session.fim.ended(c) for c in completions], device=session.device)
    penalties = dict(missing_eos_penalty=settings.missing_eos_penalty, length_penalty=settings.length_penalty)

    def read(part: slice) -> tuple[torch.Tensor, ...]:
        packed = pack(prompts[part], completions[part], device=session.device)
        own = likelihoods(policy, packed, temperature)
        with lora.switched_off(reference):
            others = likelihoods(reference, packed, temperature)
        return own, others, rewards.score(reward=reward, packed=packed, ended=ended[part], **penalties)

    with session.autocast():
        outputs = workers.divided(batches(prompts, completions, settings), read, in_step=session.fsdp)
    own, other, score = (torch.cat(parts) for parts in zip(*outputs, strict=True))
    return dict(policy=own, reference=other, score=score, ended=ended)


def clipped_surrogate(*, new: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor, cliprange: float) -> tuple[torch.Tensor, dict]:
    """The clipped surrogate, mean over actions, from log-probabilities (actions,), and its metrics (Schulman et al. 2017, 1707.06347, eq. 7)."""
    ratio = torch.exp(new - old)
    plain, clipped = -advantages * ratio, -advantages * ratio.clamp(1 - cliprange, 1 + cliprange)
    loss = torch.max(plain, clipped).mean()
    return loss, {
        "loss/policy_avg": loss,
        "policy/approxkl_avg": 0.5 * (new - old).square().mean(),
        "policy/clipfrac_avg": (clipped > plain).float().mean(),
        "val/ratio": ratio.mean(),
    }


def means(metrics: list[dict[str, torch.Tensor]]) -> dict[str, float]:
    """The mean of each metric over the steps of a rollout; none where there was no step."""
    return {name: float(torch.stack([row[name] for row in metrics]).mean()) for name in metrics[0]} if metrics else {}


def step(*, optimizer, parts: list, gradients: Callable[[Any, bool], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """One optimizer step on a mini-batch in `parts`; returns its metrics. `gradients(part, counts)` adds the gradients of a part, or none where it
    does not count, and returns what it adds to the metrics.
    """
    metrics: dict[str, torch.Tensor] = defaultdict(float)
    for part, counts in pieces.own(parts):
        for name, x in gradients(part, counts).items():
            metrics[name] += x
    workers.sum_gradients(p for group in optimizer.param_groups for p in group["params"])
    optimizer.step()
    optimizer.zero_grad()
    return workers.summed(metrics)
