"""PPO against a reward with a KL penalty to the parent policy (Ziegler et al. 2019, arXiv 1909.08593).

The reward of an episode is paid at the end of the completion, less `missing_eos_penalty` where it does not end within `max_new_tokens`,
less `length_penalty` per token, less `kl_coef` times the summed log-ratio to the parent (estimator k1). A loop of our own, with the results of
TRL 1.12's PPOTrainer on the same completions: that one is gone from TRL 1.13 on, cannot resume, and computes on padding.
"""

import numpy as np
import torch

from ..data.fim import Fim
from . import on_policy
from .ppo_math import policy_loss, value_loss
from .ppo_rollouts import Models, Rollout, Settings, judge, logprobs, pack, values
from .rewards import Reward

VALUE_CLIPRANGE = 0.2  # TRL's


def update(*, models: Models, optimizer, batch: Rollout, settings: Settings) -> dict[str, torch.Tensor]:
    """One optimizer step of policy and value model on a minibatch; returns what to log of it."""
    tokens, states = batch.tokens, batch.states
    packed = pack(batch.prompts, batch.completions, device=settings.device)
    with settings.autocast():
        new = logprobs(models.policy, packed, settings.temperature)
        value = values(models.value, packed, tokens, states)
    options = dict(old=batch.logprobs[tokens], advantages=batch.advantages[tokens], cliprange=settings.cliprange)
    of_policy, said = policy_loss(new=new, **options)
    of_value, more = value_loss(new=value, old=batch.values[states], returns=batch.returns[states], cliprange=VALUE_CLIPRANGE)
    (of_policy + settings.vf_coef * of_value).backward()
    optimizer.step()
    optimizer.zero_grad()
    return {name: x.detach() for name, x in (said | more).items()}


def learn(*, models: Models, optimizer, rollout: Rollout, settings: Settings, random: np.random.Generator) -> dict[str, float]:
    """Several epochs over the rollout's minibatches, each in an order of its own; returns the mean of what to log over all of them."""
    said = []
    for _ in range(settings.ppo_epochs):
        order = random.permutation(len(rollout.prompts))
        for start in range(0, len(order), settings.mini_batch_size):
            batch = rollout.take(order[start : start + settings.mini_batch_size])
            said.append(update(models=models, optimizer=optimizer, batch=batch, settings=settings))
    return {name: float(torch.stack([one[name] for one in said]).mean()) for name in said[0]}


def train(*, model, reference, reward: Reward, value_model, fim: Fim, asked: list[list[int]], settings: Settings) -> dict:
    """Train the policy, and the value model (rewards.value_model) with it, in place. Returns {steps, history, tokens, episodes}.

    Checkpoints, and what is raised: as in on_policy.train.
    """
    models = Models(policy=model, value=value_model, reference=reference, reward=reward)
    for part in (model, value_model, reference):
        part.eval()  # no dropout
    optimizer = on_policy.adamw(models.trained(), settings)

    def play(prompts, completions, random) -> dict[str, float]:
        rollout = judge(models=models, prompts=prompts, completions=completions, fim=fim, settings=settings)
        return rollout.metrics | learn(models=models, optimizer=optimizer, rollout=rollout, settings=settings, random=random)

    shared = dict(parameters=models.trained(), optimizer=optimizer, fim=fim, asked=asked, settings=settings)
    return on_policy.train(model=model, play=play, **shared)
