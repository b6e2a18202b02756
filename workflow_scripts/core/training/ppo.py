"""PPO against a reward with a KL penalty to the parent policy (Ziegler et al. 2019, arXiv 1909.08593).

An episode's reward comes at the end of its completion: the score, less `missing_eos_penalty` where the completion does not end within
`max_new_tokens`, less `length_penalty` per token, less `kl_coef` times the summed log-ratio to the parent (estimator k1). The loop is
our own, with the results of TRL 1.12's PPOTrainer on the same completions: TRL 1.13 dropped it, it cannot resume, and it pads.
"""

import functools

import numpy as np
import torch

from ..lm import recomputing
from . import on_policy
from .episodes import batches, clipped_surrogate, logprobs, means, pack, step
from .ppo_math import value_loss
from .ppo_rollout import Models, Rollout, judge, values
from .rewards import Reward
from .session import Session

VALUE_CLIPRANGE = 0.2  # TRL's


def update(*, models: Models, optimizer, batch: Rollout, session: Session) -> dict[str, torch.Tensor]:
    """One optimizer step of policy and value model on a mini-batch; returns its metrics."""
    parts = batches(batch.prompts, batch.completions, session.settings)
    gradients = functools.partial(_gradients, models=models, batch=batch, session=session)
    return step(optimizer=optimizer, parts=parts, gradients=gradients)


def _gradients(part: slice, counts: bool, *, models: Models, batch: Rollout, session: Session) -> dict[str, torch.Tensor]:
    """Add the gradients of a part of the mini-batch, where it counts, and return what it adds to the mini-batch's metrics."""
    settings, tokens, states = session.settings, batch.tokens[part], batch.states[part]
    packed = pack(batch.prompts[part], batch.completions[part], device=session.device)
    old, advantages, old_values, returns = (x[part] for x in (batch.logprobs, batch.advantages, batch.values, batch.returns))
    of_tokens, of_states = counts * tokens.sum() / batch.tokens.sum(), counts * states.sum() / batch.states.sum()
    with recomputing.on(models.policy, models.value):
        with session.autocast():
            new = logprobs(models.policy, packed, settings.temperature)
            value = values(models.value, packed, tokens, states)
        options = dict(old=old[tokens], advantages=advantages[tokens], cliprange=settings.cliprange)
        policy_loss, policy_metrics = clipped_surrogate(new=new, **options)
        options = dict(old=old_values[states], returns=returns[states], cliprange=VALUE_CLIPRANGE)
        critic_loss, critic_metrics = value_loss(new=value, **options)
        (policy_loss * of_tokens + settings.vf_coef * critic_loss * of_states).backward()
    shares = dict.fromkeys(policy_metrics, of_tokens) | dict.fromkeys(critic_metrics, of_states)
    return {name: x.detach() * shares[name] for name, x in (policy_metrics | critic_metrics).items()}


def learn(*, models: Models, optimizer, rollout: Rollout, session: Session, random: np.random.Generator) -> dict[str, float]:
    """Several epochs over the rollout's mini-batches, each in an order of its own; returns the mean of their metrics."""
    metrics, size = [], session.settings.mini_batch_size
    for _ in range(session.settings.ppo_epochs):
        order = random.permutation(len(rollout.prompts))
        for start in range(0, len(order), size):
            batch = rollout.take(order[start : start + size])
            metrics.append(update(models=models, optimizer=optimizer, batch=batch, session=session))
    return means(metrics)


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
