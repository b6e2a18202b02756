"""What PPO and RLOO share: prompts, and a loop of rollouts in which a policy completes some and learns from it, that can be killed."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ..data.fim import Fim
from ..errors import InputError
from ..progress import track
from . import generation
from .checkpoints import Checkpoints, check_state, load_state, save_state

log = logging.getLogger(__name__)
Play = Callable[[list[list[int]], list[list[int]], np.random.Generator], dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How both train: what the entry in the config says, and what the job adds. An episode is one completion of one prompt."""

    seed: int
    device: str
    desc: str
    episodes: int
    rollout_batch_size: int
    mini_batch_size: int
    learning_rate: float
    kl_coef: float
    max_new_tokens: int
    temperature: float
    missing_eos_penalty: float
    length_penalty: float
    cliprange: float
    num_generations: int = 1
    checkpoints: Checkpoints | None = None

    @property
    def rollouts(self) -> int:
        """Whole ones are made, so that at least `episodes` are played."""
        return math.ceil(self.episodes / self.rollout_batch_size)

    @property
    def asked_at_once(self) -> int:
        """Prompts of a rollout."""
        return self.rollout_batch_size // self.num_generations

    def rate(self, done: int) -> float:
        """Learning rate after so many rollouts: half a cosine, from the rate of the config to 0."""
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done / self.rollouts))

    def autocast(self):
        """bf16 on CUDA, fp32 on the CPU."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda")


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


def adamw(parameters: dict[str, torch.nn.Parameter], settings: Settings) -> torch.optim.AdamW:
    """The optimizer of TRL's PPO: no weight decay, and gradients are not clipped."""
    return torch.optim.AdamW(parameters.values(), lr=settings.learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, fused=True)


def train(*, model, parameters: dict, optimizer, play: Play, fim: Fim, asked: list[list[int]], settings: Settings) -> dict:
    """Let the policy `model` complete prompts and `play(prompts, completions, random)` learn from that, which gives what to log.

    Returns {steps, history, tokens, episodes}. With `settings.checkpoints`, save `parameters` and `optimizer` on the way and go on from
    the last: every random choice of a rollout follows from the seed and its number, so that weights and record are those of an
    undisturbed run. Raises InputError where a rollout needs more prompts than are `asked`.
    """
    if len(asked) < settings.asked_at_once:
        raise InputError(
            f"a rollout of {settings.asked_at_once} prompts is larger than the {len(asked)} that there are; "
            "lower rollout_batch_size or raise corpus.pools.rl_prompt"
        )
    record, checkpoints = dict(steps=0, history=[], tokens=0, episodes=0), settings.checkpoints
    last = checkpoints.last(check_state) if checkpoints else None
    if last:
        record = load_state(last, parameters=parameters, optimizer=optimizer)
        log.info("going on from step %d of %d", record["steps"], settings.rollouts)
    bar = track(range(record["steps"], settings.rollouts), desc=settings.desc, unit="step", total=settings.rollouts)
    bar.n = bar.initial = record["steps"]
    for done in bar:
        optimizer.param_groups[0]["lr"] = settings.rate(done)
        record = step(model=model, play=play, fim=fim, asked=asked, settings=settings, record=record)
        shown = record["history"][-1]
        log.info("step %d: %s", done + 1, shown)
        bar.set_postfix({k: f"{shown['objective/' + k]:.3g}" for k in ("scores", "kl")}, refresh=False)
        if checkpoints and checkpoints.due(step=done + 1, steps=settings.rollouts):
            with checkpoints.writing(step=done + 1) as folder:
                save_state(folder, parameters=parameters, optimizer=optimizer, record=record)
    return record


def step(*, model, play: Play, fim: Fim, asked: list[list[int]], settings: Settings, record: dict) -> dict:
    """One rollout and what is learnt from it: the `record` that follows."""
    s, done = settings, record["steps"]
    random = np.random.default_rng([s.seed, 1, done])

    # 1. The policy completes the prompts.
    queries = draw(asked=asked, size=s.asked_at_once, seed=s.seed, rollout=done)
    choose = generation.sampler(s.temperature, torch.Generator(s.device).manual_seed(int(random.integers(2**63))))
    how = dict(max_new_tokens=[s.max_new_tokens] * len(queries), batch_size=len(queries), samples=s.num_generations)
    with s.autocast():
        completions = generation.complete(model=model, prompts=queries, fim=fim, desc=None, choose=choose, **how)

    # 2. The models judge the completions, and learn from that.
    said = play([q for q in queries for _ in range(s.num_generations)], completions, random)

    episodes = record["episodes"] + len(completions)
    passes = episodes / s.num_generations / len(asked)
    row = {**said, "lr": s.rate(done), "episode": episodes, "epoch": passes, "step": done + 1}
    return dict(
        steps=done + 1,
        history=[*record["history"], {name: float(x) for name, x in row.items()}],
        tokens=record["tokens"] + s.num_generations * sum(map(len, queries)) + sum(map(len, completions)),
        episodes=episodes,
    )
