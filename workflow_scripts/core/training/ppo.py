"""PPO against a reward with a KL penalty to the parent policy (Ziegler et al. 2019, arXiv 1909.08593).

An episode's reward comes at the end of its completion: the score, less `missing_eos_penalty` where the completion does not end within
`max_new_tokens`, less `length_penalty` per token, less `kl_coef` times the summed log-ratio to the parent (estimator k1). The loop is
our own, with the results of TRL 1.12's PPOTrainer on the same completions: TRL 1.13 dropped it, it cannot resume, and it pads.
"""

import numpy as np
import torch

from . import on_policy
from .episodes import clipped_surrogate, logprobs, pack
from .ppo_math import value_loss
from .ppo_rollout import Models, Rollout, judge, values
from .rewards import Reward
from .session import Session

VALUE_CLIPRANGE = 0.2  # TRL's


def update(*, models: Models, optimizer, batch: Rollout, session: Session) -> dict[str, torch.Tensor]:
    """One optimizer step of policy and value model on a mini-batch; returns its metrics."""
    settings, tokens, states = session.settings, batch.tokens, batch.states
    packed = pack(batch.prompts, batch.completions, device=session.device)
    with session.autocast():
        new = logprobs(models.policy, packed, settings.temperature)
        value = values(models.value, packed, tokens, states)
    options = dict(old=batch.logprobs[tokens], advantages=batch.advantages[tokens], cliprange=settings.cliprange)
    policy_loss, policy_metrics = clipped_surrogate(new=new, **options)
    critic_loss, critic_metrics = value_loss(new=value, old=batch.values[states], returns=batch.returns[states], cliprange=VALUE_CLIPRANGE)
    (policy_loss + settings.vf_coef * critic_loss).backward()
    optimizer.step()
    optimizer.zero_grad()
    return {name: x.detach() for name, x in (policy_metrics | critic_metrics).items()}


def learn(*, models: Models, optimizer, rollout: Rollout, session: Session, random: np.random.Generator) -> dict[str, float]:
    """Several epochs over the rollout's mini-batches, each in an order of its own; returns the mean of their metrics."""
    metrics, size = [], session.settings.mini_batch_size
    for _ in range(session.settings.ppo_epochs):
        order = random.permutation(len(rollout.prompts))
        for start in range(0, len(order), size):
            batch = rollout.take(order[start : start + size])
            metrics.append(update(models=models, optimizer=optimizer, batch=batch, session=session))
    return {name: float(torch.stack([row[name] for row in metrics]).mean()) for name in metrics[0]}


def train(*, policy, reference, reward: Reward, value_model, prompts: list[list[int]], session: Session) -> dict:
    """Train the policy, and the value model (rewards.value_model) with it, in place. Returns {steps, history, tokens, episodes}.

    Checkpoints and errors: as in on_policy.train.
    """
    models = Models(policy=policy, value=value_model, reference=reference, reward=reward)
    for part in (policy, value_model, reference):
        part.eval()  # no dropout
    optimizer = on_policy.adamw(models.trained(), session.settings)

    def play(queries, completions, random) -> dict[str, float]:
        rollout = judge(models=models, prompts=queries, completions=completions, session=session)
        return rollout.metrics | learn(models=models, optimizer=optimizer, rollout=rollout, session=session, random=random)

    return on_policy.train(model=policy, parameters=models.trained(), optimizer=optimizer, play=play, prompts=prompts, session=session)
