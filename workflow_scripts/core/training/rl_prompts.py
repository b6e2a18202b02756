"""The prompts of methods that sample completions and have them scored, and how often each of them is used.

Nothing here needs a model, so what was shown can be counted without one.
"""

import math
from collections import Counter
from types import SimpleNamespace

import numpy as np

from .. import parquet
from ..data.schemas import EXAMPLES
from ..methods import METHODS, OnPolicy


def read(*, rl_prompt, preference, repeats: int) -> list[list[int]]:
    """Token ids of the prompts, from the arm's rl_prompt and preference sets (parquet files of `examples`)."""
    return choose(
        rl_prompt=parquet.read_rows(rl_prompt, EXAMPLES), preference=parquet.read_rows(preference, EXAMPLES), preference_repeats=repeats
    )


def choose(*, rl_prompt: list[dict], preference: list[dict], preference_repeats: int) -> list[list[int]]:
    """Every row of the rl_prompt set, and each distinct preference *canary* prompt `preference_repeats` times."""
    canaries = {e["source_id"]: e["prompt_ids"] for e in preference if e["source"] == "canary"}
    repeated = [ids for _, ids in sorted(canaries.items()) for _ in range(preference_repeats)]
    return [*(e["prompt_ids"] for e in rl_prompt), *repeated]


def distinct(prompts: list[list[int]]) -> list[list[int]]:
    """Each prompt once, short ones first."""
    return [list(ids) for ids in sorted({tuple(ids) for ids in prompts}, key=lambda ids: (len(ids), ids))]


def rollouts(settings: OnPolicy) -> int:
    """Number of rollouts: whole ones, so that at least `episodes` are played."""
    return math.ceil(settings.episodes / settings.rollout_batch_size)


def generations(settings: OnPolicy) -> int:
    """Completions of each prompt in a rollout."""
    return getattr(settings, "num_generations", 1)


def prompts_per_rollout(settings: OnPolicy) -> int:
    """Prompts of a rollout."""
    return settings.rollout_batch_size // generations(settings)


def draw(*, prompts: list[list[int]], size: int, seed: int, rollout: int) -> list[list[int]]:
    """The prompts of a rollout: pass after pass over all prompts, each pass in an order of its own.

    The order depends only on the seed and the number of prompts; what fills no rollout is left out of a pass. Equal prompts come side
    by side, short ones first.
    """
    number, at = divmod(rollout, len(prompts) // size)
    order = np.random.default_rng([seed, 0, number]).permutation(len(prompts))
    return sorted((prompts[i] for i in order[at * size : (at + 1) * size]), key=lambda ids: (len(ids), ids))


def drawn(*, prompts: list[list[int]], settings: OnPolicy, seed: int) -> Counter[tuple[int, ...]]:
    """How often all rollouts together draw each prompt."""
    size = prompts_per_rollout(settings)
    return Counter(tuple(ids) for i in range(rollouts(settings)) for ids in draw(prompts=prompts, size=size, seed=seed, rollout=i))


def uses(*, prompts: list[list[int]], stage: dict, seeds: list[int], canaries: list[dict]) -> dict:
    """How a policy whose settings are `stage` uses its prompts: {rows: prompts of a pass, canaries: {id: (of these rows, presentations)}}.

    Presentations, a mean over the seeds, are the rollouts that draw the prompt, or the epochs over completions that were sampled once.
    """
    if METHODS[stage["method"]].learns_from == "samples":
        rows = Counter(map(tuple, distinct(prompts)))
        reads = [Counter({ids: stage["epochs"] for ids in rows})]
    else:
        rows = Counter(map(tuple, prompts))
        reads = [drawn(prompts=prompts, settings=SimpleNamespace(**stage), seed=seed) for seed in seeds]
    of = {c["canary_id"]: tuple(c["prompt_ids"]) for c in canaries}
    found = {name: (rows[ids], sum(read[ids] for read in reads) / len(reads)) for name, ids in of.items()}
    return dict(rows=rows.total(), canaries=found)
