"""RLOO, REINFORCE with a leave-one-out baseline, against the reward with a KL penalty to the parent (Ahmadian et al. 2024, arXiv 2402.14740).

Each prompt is completed k times. The return of a completion is its score less `kl_coef` times its summed log-ratio to the parent; its
advantage is that less the mean return of the other k - 1 (section 2.3), so that no value model is trained. A completion is one action: the
clipped ratio is that of whole completions, as in TRL 1.12's RLOOTrainer, to whose advantages and loss a test holds ours. Loop, optimizer
and schedule are those of PPO here: TRL's trainer computes on padding, and the library's would draw another rollout after a resume.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from ..data.fim import Fim
from . import on_policy, rewards
from .ppo_math import policy_loss
from .ppo_rollouts import logprobs, pack


@dataclass(frozen=True, kw_only=True)
class Settings(on_policy.Settings):
    """How RLOO trains: what its entry in the config says, and what its job adds."""

    rloo_epochs: int


@dataclass(frozen=True)
class Rollout:
    """Episodes, the completions of a prompt side by side, and what RLOO learns from them; tensors (episodes,), from before the update."""

    prompts: list[list[int]]
    completions: list[list[int]]
    logprobs: torch.Tensor
    advantages: torch.Tensor
    metrics: dict[str, float]

    def take(self, chosen: Iterable[int]) -> "Rollout":
        """Only these episodes; equal prompts are kept side by side."""
        at = sorted(int(i) for i in chosen)
        prompts, completions = ([of[i] for i in at] for of in (self.prompts, self.completions))
        return Rollout(prompts, completions, self.logprobs[at], self.advantages[at], self.metrics)


def advantages(returns: torch.Tensor, samples: int) -> torch.Tensor:
    """(episodes,): each return less the mean of the other returns of its prompt, whose `samples` stand side by side."""
    grouped = returns.view(-1, samples)
    others = (grouped.sum(1, keepdim=True) - grouped) / (samples - 1)
    return (grouped - others).flatten()


def likelihoods(model, packed, temperature: float) -> torch.Tensor:
    """(episodes,): log-probability of each whole completion at the temperature, in nats."""
    return torch.stack([part.sum() for part in logprobs(model, packed, temperature).split(packed.sizes)])


@torch.no_grad()
def judge(*, policy, reference, reward: rewards.Reward, prompts: list, completions: list, fim: Fim, settings: Settings) -> Rollout:
    """What RLOO learns from completions. Read in minibatches, for their memory."""
    s, read = settings, defaultdict(list)
    ended = torch.tensor([fim.end in c for c in completions], device=s.device)
    for start in range(0, len(prompts), s.mini_batch_size):
        part = slice(start, start + s.mini_batch_size)
        packed = pack(prompts[part], completions[part], device=s.device)
        paid = dict(missing_eos_penalty=s.missing_eos_penalty, length_penalty=s.length_penalty)
        with s.autocast():
            read["policy"].append(likelihoods(policy, packed, s.temperature))
            read["reference"].append(likelihoods(reference, packed, s.temperature))
            read["score"].append(rewards.score(reward=reward, packed=packed, ended=ended[part], **paid))
    old, reference, score = (torch.cat(read[name]) for name in ("policy", "reference", "score"))
    returns = score - s.kl_coef * (old - reference)
    metrics = {
        "objective/kl": (old - reference).mean(),
        "objective/entropy": -old.mean(),
        "objective/rlhf_reward": returns.mean(),
        "objective/scores": score.mean(),
        "val/num_eos_tokens": ended.sum(),
    }
    found = {name: float(x) for name, x in metrics.items()}
    return Rollout(prompts, completions, old, advantages(returns, s.num_generations), found)


def loss(*, policy, batch: Rollout, settings: Settings) -> tuple[torch.Tensor, dict]:
    """The clipped surrogate over whole completions, mean over episodes; and what to log of it."""
    packed = pack(batch.prompts, batch.completions, device=settings.device)
    with settings.autocast():
        new = likelihoods(policy, packed, settings.temperature)
    return policy_loss(new=new, old=batch.logprobs, advantages=batch.advantages, cliprange=settings.cliprange)


def learn(*, policy, optimizer, rollout: Rollout, settings: Settings, random: np.random.Generator) -> dict[str, float]:
    """Several epochs over the rollout's minibatches, each in an order of its own; returns the mean of what to log over all of them."""
    told = []
    for _ in range(settings.rloo_epochs):
        order = random.permutation(len(rollout.prompts))
        for start in range(0, len(order), settings.mini_batch_size):
            found, said = loss(policy=policy, batch=rollout.take(order[start : start + settings.mini_batch_size]), settings=settings)
            found.backward()
            optimizer.step()
            optimizer.zero_grad()
            told.append({name: x.detach() for name, x in said.items()})
    return {name: float(torch.stack([one[name] for one in told]).mean()) for name in told[0]}


def train(*, model, reference, reward: rewards.Reward, fim: Fim, asked: list[list[int]], settings: Settings) -> dict:
    """Train the policy in place; returns {steps, history, tokens, episodes}. Checkpoints, and what is raised: as in on_policy.train."""
    for part in (model, reference):
        part.eval()  # no dropout
    parameters = dict(model.named_parameters())
    optimizer = on_policy.adamw(parameters, settings)

    def play(prompts, completions, random) -> dict[str, float]:
        judged = dict(policy=model, reference=reference, reward=reward, prompts=prompts, completions=completions)
        rollout = judge(**judged, fim=fim, settings=settings)
        return rollout.metrics | learn(policy=model, optimizer=optimizer, rollout=rollout, settings=settings, random=random)

    shared = dict(parameters=parameters, optimizer=optimizer, fim=fim, asked=asked, settings=settings)
    return on_policy.train(model=model, play=play, **shared)
