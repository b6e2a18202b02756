"""RLOO, REINFORCE with a leave-one-out baseline, against a reward with a KL penalty to the parent (Ahmadian et al. 2024, arXiv 2402.14740).

Each prompt gets k completions. The return of a completion is its score less `kl_coef` times its summed log-ratio to the parent; its
advantage is that less the mean return of the other k - 1 (section 2.3), so no value model is trained. A completion is one action: the
clipped ratio is that of whole completions, as in TRL 1.12's RLOOTrainer, with which a test compares advantages and loss. Loop, optimizer
and schedule are those of PPO here: TRL's trainer pads, and after a resume it would draw another rollout.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from ..lm import recomputing, sharding
from . import on_policy, rewards
from .episodes import batches, clipped_surrogate, judged, likelihoods, means, pack, step
from .session import Session


@dataclass(frozen=True)
class Rollout:
    """Episodes, completions of one prompt side by side, and what RLOO learns from them; tensors (episodes,), from before the update."""

    prompts: list[list[int]]
    completions: list[list[int]]
    logprobs: torch.Tensor
    advantages: torch.Tensor
    metrics: dict[str, float]

    def take(self, chosen: Iterable[int]) -> "Rollout":
        """Only these episodes; equal prompts are kept side by side."""
        at = sorted(int(i) for i in chosen)
        prompts, completions = ([values[i] for i in at] for values in (self.prompts, self.completions))
        return Rollout(prompts, completions, self.logprobs[at], self.advantages[at], self.metrics)


def advantages(returns: torch.Tensor, samples: int) -> torch.Tensor:
    """(episodes,): each return less the mean of the other returns of its prompt, whose `samples` stand side by side."""
    grouped = returns.view(-1, samples)
    others = (grouped.sum(1, keepdim=True) - grouped) / (samples - 1)
    return (grouped - others).flatten()


def judge(*, policy, reference, reward: rewards.Reward, prompts: list, completions: list, session: Session) -> Rollout:
    """What RLOO learns from completions."""
    settings, models = session.settings, dict(policy=policy, reference=reference, reward=reward)
    found = judged(**models, prompts=prompts, completions=completions, temperature=settings.temperature, session=session)
    old, kl, score = found["policy"], found["policy"] - found["reference"], found["score"]
    returns = score - settings.kl_coef * kl
    metrics = {
        "objective/kl": kl.mean(),
        "objective/entropy": -old.mean(),
        "objective/rlhf_reward": returns.mean(),
        "objective/scores": score.mean(),
        "val/num_eos_tokens": found["ended"].sum(),
    }
    numbers = {name: float(x) for name, x in metrics.items()}
    return Rollout(prompts, completions, old, advantages(returns, settings.num_generations), numbers)


def loss(*, policy, batch: Rollout, session: Session) -> tuple[torch.Tensor, dict]:
    """The clipped surrogate over whole completions, mean over episodes; and its metrics."""
    packed = pack(batch.prompts, batch.completions, device=session.device)
    with session.autocast():
        new = likelihoods(policy, packed, session.settings.temperature)
    return clipped_surrogate(new=new, old=batch.logprobs, advantages=batch.advantages, cliprange=session.settings.cliprange)


def update(*, policy, optimizer, batch: Rollout, session: Session) -> dict[str, torch.Tensor]:
    """One optimizer step on a mini-batch; returns its metrics."""

    def gradients(part: slice, counts: bool) -> dict[str, torch.Tensor]:
        piece = batch.take(range(part.start, part.stop))
        share = counts * len(piece.prompts) / len(batch.prompts)
        with recomputing.on(policy):
            value, found = loss(policy=policy, batch=piece, session=session)
            (value * share).backward()
        return {name: x.detach() * share for name, x in found.items()}

    return step(optimizer=optimizer, parts=batches(batch.prompts, batch.completions, session.settings), gradients=gradients)


def learn(*, policy, optimizer, rollout: Rollout, session: Session, random: np.random.Generator) -> dict[str, float]:
    """Several epochs over the rollout's mini-batches, each in an order of its own; returns the mean of their metrics."""
    metrics, size = [], session.settings.mini_batch_size
    for _ in range(session.settings.rloo_epochs):
        order = random.permutation(len(rollout.prompts))
        for start in range(0, len(order), size):
            batch = rollout.take(order[start : start + size])
            metrics.append(update(policy=policy, optimizer=optimizer, batch=batch, session=session))
    return means(metrics)


def train(*, policy, reference, reward: rewards.Reward, prompts: list[list[int]], session: Session) -> dict:
    """Train the policy in place; returns {steps, history, tokens, episodes}. Checkpoints and errors: as in on_policy.train."""
    for part in (policy, reference):
        part.eval()  # no dropout
    parameters = sharding.trained(policy)
    optimizer = on_policy.adamw(parameters, session.settings)

    def play(queries, completions, random) -> dict[str, float]:
        models = dict(policy=policy, reference=reference, reward=reward)
        rollout = judge(**models, prompts=queries, completions=completions, session=session)
        return rollout.metrics | learn(policy=policy, optimizer=optimizer, rollout=rollout, session=session, random=random)

    return on_policy.train(model=policy, parameters=parameters, optimizer=optimizer, play=play, prompts=prompts, session=session)
