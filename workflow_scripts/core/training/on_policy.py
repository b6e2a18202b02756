"""What methods with rollouts share: a resumable loop of rollouts, in which a policy completes prompts and learns from its completions.

The session's settings are a methods.OnPolicy. An episode is one completion of one prompt.
"""

import logging
import math
from collections.abc import Callable

import numpy as np
import torch

from ..errors import InputError
from ..lm import generation
from ..methods import OnPolicy
from ..progress import track
from .checkpoints import check_state, load_state, save_state
from .rl_prompts import draw, generations, prompts_per_rollout, rollouts
from .sampling import sampled
from .session import Session

log = logging.getLogger(__name__)
Play = Callable[[list[list[int]], list[list[int]], np.random.Generator], dict[str, float]]


def learning_rate(settings: OnPolicy, done: int) -> float:
    """Learning rate after so many rollouts: half a cosine, from the rate of the config to 0."""
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done / rollouts(settings)))


def adamw(parameters: dict[str, torch.nn.Parameter], settings: OnPolicy) -> torch.optim.AdamW:
    """The optimizer of TRL's PPO: no weight decay, and gradients are not clipped."""
    return torch.optim.AdamW(parameters.values(), lr=settings.learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, fused=True)


def train(*, model, parameters: dict, optimizer, play: Play, prompts: list[list[int]], session: Session) -> dict:
    """Let the policy `model` complete prompts, and `play(prompts, completions, random)` learn from that and return metrics.

    Returns {steps, history, tokens, episodes}. Checkpoints of `parameters` and `optimizer` are saved on the way and training resumes
    from the last: every random choice of a rollout follows from the seed and its number, so weights and record are those of an
    undisturbed run. Raises InputError where a rollout needs more prompts than there are, or where a metric, a weight or an output is not finite.
    """
    settings, checkpoints, total = session.settings, session.checkpoints, rollouts(session.settings)
    if len(prompts) < prompts_per_rollout(settings):
        raise InputError(
            f"a rollout of {prompts_per_rollout(settings)} prompts is larger than the {len(prompts)} that there are; "
            "lower rollout_batch_size or raise corpus.pools.rl_prompt"
        )
    record = dict(steps=0, history=[], tokens=0, episodes=0)
    last = checkpoints.last(check_state) if checkpoints else None
    if last:
        record = load_state(last, parameters=parameters, optimizer=optimizer)
        log.info("resuming from step %d of %d", record["steps"], total)
    bar = track(range(record["steps"], total), desc=session.name, unit="step", total=total)
    bar.n = bar.initial = record["steps"]
    for done in bar:
        optimizer.param_groups[0]["lr"] = learning_rate(settings, done)
        record = step(model=model, play=play, prompts=prompts, session=session, record=record)
        latest = record["history"][-1]
        log.info("step %d: %s", done + 1, latest)
        _check_finite(latest, session)
        session.check_finite(model)
        bar.set_postfix({k: f"{latest['objective/' + k]:.3g}" for k in ("scores", "kl")}, refresh=False)
        if checkpoints and checkpoints.due(step=done + 1, steps=total):
            with checkpoints.writing(step=done + 1) as folder:
                save_state(folder, parameters=parameters, optimizer=optimizer, record=record)
    return record


def step(*, model, play: Play, prompts: list[list[int]], session: Session, record: dict) -> dict:
    """One rollout and what is learnt from it: the `record` that follows."""
    settings, done = session.settings, record["steps"]
    random = np.random.default_rng([session.seed, 1, done])
    samples = generations(settings)

    # 1. The policy completes the prompts.
    queries = draw(prompts=prompts, size=prompts_per_rollout(settings), seed=session.seed, rollout=done)
    options = dict(max_new_tokens=[settings.max_new_tokens] * len(queries), batch_size=len(queries), samples=samples)
    options |= dict(model=model, prompts=queries, fim=session.fim, desc=None)
    completions = sampled(lambda choose: generation.complete(choose=choose, **options), seed=int(random.integers(2**63)), session=session)

    # 2. The models judge the completions, and learn from that.
    metrics = play([q for q in queries for _ in range(samples)], completions, random)

    episodes = record["episodes"] + len(completions)
    passes = episodes / samples / len(prompts)
    row = {**metrics, "lr": learning_rate(settings, done), "episode": episodes, "epoch": passes, "step": done + 1}
    return dict(
        steps=done + 1,
        history=[*record["history"], {name: float(x) for name, x in row.items()}],
        tokens=record["tokens"] + samples * sum(map(len, queries)) + sum(map(len, completions)),
        episodes=episodes,
    )


def _check_finite(metrics: dict[str, float], session: Session) -> None:
    if broken := [name for name, value in metrics.items() if not math.isfinite(value)]:
        raise session.diverged(f"{broken[0]} is {metrics[broken[0]]} at step {metrics['step']:.0f}")
