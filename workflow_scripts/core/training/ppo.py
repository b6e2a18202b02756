"""PPO against a reward with a KL penalty to the parent policy (Ziegler et al. 2019, arXiv 1909.08593).

The reward of an episode is paid at the end of the completion, less `missing_eos_penalty` where it does not end within `max_new_tokens`,
less `length_penalty` per token, less `kl_coef` times the summed log-ratio to the parent (estimator k1). A loop of our own, with the results of
TRL 1.12's PPOTrainer on the same completions: that one is gone from TRL 1.13 on, cannot resume, and computes on padding.
"""

import logging

import numpy as np
import torch

from ..data.fim import Fim
from ..errors import InputError
from ..progress import track
from . import generation
from .checkpoints import check_state, load_state, save_state
from .ppo_math import policy_loss, value_loss
from .ppo_rollouts import Models, Rollout, Settings, judge, logprobs, pack, values
from .rewards import Reward

log = logging.getLogger(__name__)
VALUE_CLIPRANGE = 0.2  # TRL's


def prompts(*, rl_prompt: list[dict], preference: list[dict], preference_repeats: int) -> list[list[int]]:
    """Episodes' prompts: every row of the rl_prompt set, and each distinct preference *canary* prompt `preference_repeats` times."""
    canaries = {e["source_id"]: e["prompt_ids"] for e in preference if e["source"] == "canary"}
    repeated = [ids for _, ids in sorted(canaries.items()) for _ in range(preference_repeats)]
    return [*(e["prompt_ids"] for e in rl_prompt), *repeated]


def draw(*, asked: list[list[int]], size: int, seed: int, rollout: int) -> list[list[int]]:
    """The prompts of a rollout: pass after pass over all that are asked, each in an order of its own that depends on the seed and the
    number of prompts alone. What fills no rollout is left out of a pass. Equal prompts come side by side, short ones first.
    """
    number, at = divmod(rollout, len(asked) // size)
    order = np.random.default_rng([seed, 0, number]).permutation(len(asked))
    return sorted((asked[i] for i in order[at * size : (at + 1) * size]), key=lambda ids: (len(ids), ids))


def adamw(models: Models, settings: Settings) -> torch.optim.AdamW:
    """One optimizer of policy and value model, as TRL's: no weight decay, and gradients are not clipped."""
    return torch.optim.AdamW(
        models.trained().values(), lr=settings.learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, fused=True
    )


def update(*, models: Models, optimizer, batch: Rollout, settings: Settings) -> dict[str, torch.Tensor]:
    """One optimizer step of policy and value model on a minibatch; returns what to log of it."""
    tokens, states = batch.tokens, batch.states
    packed = pack(batch.prompts, batch.completions, device=settings.device)
    with settings.autocast():
        new = logprobs(models.policy, packed, settings.temperature)
        value = values(models.value, packed, tokens, states)
    options = dict(old=batch.logprobs[tokens], advantages=batch.advantages[tokens], cliprange=settings.cliprange)
    on_policy, said = policy_loss(new=new, **options)
    on_value, more = value_loss(new=value, old=batch.values[states], returns=batch.returns[states], cliprange=VALUE_CLIPRANGE)
    (on_policy + settings.vf_coef * on_value).backward()
    optimizer.step()
    optimizer.zero_grad()
    return {name: x.detach() for name, x in (said | more).items()}


def learn(*, models: Models, optimizer, rollout: Rollout, settings: Settings, random: np.random.Generator) -> dict[str, float]:
    """Several epochs over the rollout's minibatches, each in an order of its own; returns the mean of what to log over all of them."""
    said = []
    for _ in range(settings.ppo_epochs):
        order = random.permutation(len(rollout.prompts))
        for start in range(0, len(order), settings.minibatch):
            batch = rollout.take(order[start : start + settings.minibatch])
            said.append(update(models=models, optimizer=optimizer, batch=batch, settings=settings))
    return {name: float(torch.stack([one[name] for one in said]).mean()) for name in said[0]}


def train(*, model, reference, reward: Reward, value_model, fim: Fim, asked: list[list[int]], settings: Settings) -> dict:
    """Train the policy, and the value model (rewards.value_model) with it, in place. Returns {steps, history, tokens, episodes}.

    With `settings.checkpoints`, save them on the way and go on from the last: every random choice of a rollout follows from the seed
    and its number, so that weights and record are those of an undisturbed run. Raises InputError where a rollout needs more prompts
    than are `asked`.
    """
    if len(asked) < settings.rollout_batch:
        raise InputError(
            f"rollout_batch {settings.rollout_batch} is larger than the {len(asked)} prompts of PPO; lower it or raise corpus.pools.rl_prompt"
        )
    models = Models(policy=model, value=value_model, reference=reference, reward=reward)
    for part in (model, value_model, reference):
        part.eval()  # no dropout
    optimizer = adamw(models, settings)
    record, checkpoints = dict(steps=0, history=[], tokens=0, episodes=0), settings.checkpoints
    last = checkpoints.last(check_state) if checkpoints else None
    if last:
        record = load_state(last, parameters=models.trained(), optimizer=optimizer)
        log.info("going on from step %d of %d", record["steps"], settings.rollouts)
    bar = track(range(record["steps"], settings.rollouts), desc=settings.desc, unit="step", total=settings.rollouts)
    bar.n = bar.initial = record["steps"]
    for done in bar:
        record = step(models=models, optimizer=optimizer, fim=fim, asked=asked, settings=settings, record=record)
        shown = record["history"][-1]
        log.info("step %d: %s", done + 1, shown)
        bar.set_postfix({k: f"{shown['objective/' + k]:.3g}" for k in ("scores", "kl")}, refresh=False)
        if checkpoints and checkpoints.due(step=done + 1, steps=settings.rollouts):
            with checkpoints.writing(step=done + 1) as folder:
                save_state(folder, parameters=models.trained(), optimizer=optimizer, record=record)
    return record


def step(*, models: Models, optimizer, fim: Fim, asked: list[list[int]], settings: Settings, record: dict) -> dict:
    """One rollout and what is learnt from it: the `record` that follows."""
    s, done = settings, record["steps"]
    random = np.random.default_rng([s.seed, 1, done])
    optimizer.param_groups[0]["lr"] = s.rate(done)

    # 1. The policy completes the prompts.
    queries = draw(asked=asked, size=s.rollout_batch, seed=s.seed, rollout=done)
    choose = generation.sampler(s.temperature, torch.Generator(s.device).manual_seed(int(random.integers(2**63))))
    room = [s.max_new_tokens] * len(queries)
    with s.autocast():
        completions = generation.complete(
            model=models.policy, prompts=queries, max_new_tokens=room, fim=fim, batch_size=len(queries), desc=None, choose=choose
        )

    # 2. The models judge the completions.
    rollout = judge(models=models, prompts=queries, completions=completions, fim=fim, settings=s)

    # 3. Policy and value model learn from that.
    learnt = learn(models=models, optimizer=optimizer, rollout=rollout, settings=s, random=random)

    episodes = record["episodes"] + len(queries)
    row = {**rollout.metrics, **learnt, "lr": s.rate(done), "episode": episodes, "epoch": episodes / len(asked), "step": done + 1}
    return dict(
        steps=done + 1,
        history=[*record["history"], {name: float(x) for name, x in row.items()}],
        tokens=record["tokens"] + sum(map(len, queries)) + sum(map(len, completions)),
        episodes=episodes,
    )
