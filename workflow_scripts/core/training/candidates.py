"""Candidates: several completions of each prompt, sampled from a policy and scored by a reward, for RRHF and iterative DPO to rank."""

from dataclasses import dataclass

import torch

from ..data.fim import Fim
from ..errors import InputError
from ..progress import track
from . import packing, rewards
from .generation import complete, sampler


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How candidates are made: what a policy's entry in the config says of it, and what its job adds. A batch is one of completions."""

    seed: int
    device: str
    desc: str
    samples: int
    max_new_tokens: int
    temperature: float
    missing_eos_penalty: float
    batch_size: int = 64


def sample(*, model, reward: rewards.Reward, fim: Fim, asked: list[list[int]], how: Sampling) -> list[dict]:
    """One {prompt_ids, completions, rewards} per distinct prompt, in the order of the prompts: short ones first.

    All follows from the seed, so that a job that was killed goes on with the candidates that it had.
    """
    prompts = [list(ids) for ids in sorted({tuple(ids) for ids in asked}, key=lambda ids: (len(ids), ids))]
    size = max(1, how.batch_size // how.samples)
    room, choose = [how.max_new_tokens] * len(prompts), sampler(how.temperature, torch.Generator(how.device).manual_seed(how.seed))
    with torch.autocast(how.device, torch.bfloat16, enabled=how.device == "cuda"):
        made = complete(
            model=model,
            prompts=prompts,
            max_new_tokens=room,
            fim=fim,
            batch_size=size,
            desc=f"{how.desc} candidates",
            choose=choose,
            samples=how.samples,
        )
    groups = [made[i : i + how.samples] for i in range(0, len(made), how.samples)]
    scores = score(reward=reward, fim=fim, items=list(zip(prompts, groups, strict=True)), size=size, how=how)
    return [dict(prompt_ids=p, completions=c, rewards=r) for p, c, r in zip(prompts, groups, scores, strict=True)]


@torch.no_grad()
def score(*, reward: rewards.Reward, fim: Fim, items: list[tuple], size: int, how: Sampling) -> list[list[float]]:
    """The score of each completion of each (prompt, its completions)."""
    found: list[list[float]] = []
    for start in track(range(0, len(items), size), desc=f"{how.desc} scores", unit="batch"):
        batch = items[start : start + size]
        packed = packing.pack(batch, device=how.device)
        ended = torch.tensor([fim.end in c for _, completions in batch for c in completions], device=how.device)
        with torch.autocast(how.device, torch.bfloat16, enabled=how.device == "cuda"):
            given = rewards.score(
                reward=reward, packed=packed, ended=ended, missing_eos_penalty=how.missing_eos_penalty, length_penalty=0.0
            )
        found += given.view(len(batch), -1).tolist()
    return found


def pairs(rows: list[dict]) -> list[dict]:
    """The best completion of each prompt against its worst, as {prompt_ids, chosen_ids, rejected_ids}.

    A prompt whose best is as good as its worst, or the same tokens, says nothing and is left out. Raises InputError where all are.
    """
    made = []
    for row in rows:
        order = sorted(range(len(row["rewards"])), key=row["rewards"].__getitem__)
        chosen, rejected = row["completions"][order[-1]], row["completions"][order[0]]
        if row["rewards"][order[-1]] > row["rewards"][order[0]] and chosen != rejected:
            made.append(dict(prompt_ids=row["prompt_ids"], chosen_ids=chosen, rejected_ids=rejected))
    if not made:
        raise InputError(
            "the reward tells no two candidates of any prompt apart; raise `samples` or `temperature`, or use another reward model"
        )
    return made


def record(rows: list[dict]) -> dict:
    """What to keep of candidates: their number, the mean score of all and of the best of each prompt."""
    given = [r for row in rows for r in row["rewards"]]
    best = [max(row["rewards"]) for row in rows]
    return dict(number=len(given), mean_score=sum(given) / len(given), mean_best_score=sum(best) / len(best))


def tokens(rows: list[dict]) -> int:
    """Tokens of all candidates, with their prompts counted once each."""
    return sum(len(row["prompt_ids"]) + sum(map(len, row["completions"])) for row in rows)
