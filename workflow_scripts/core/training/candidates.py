"""Candidates: several completions of each prompt, sampled from a policy and scored by a reward, for RRHF, iterative and online DPO to rank.

The session's settings are a methods.Ranked where they are sampled here.
"""

import torch

from .. import workers
from ..errors import InputError
from ..lm import packing
from ..lm.generation import complete
from ..progress import track
from . import rewards
from .rl_prompts import distinct
from .sampling import sampled
from .session import Session

BATCH = 64  # completions that are sampled or scored at a time


def sample(*, model, reward: rewards.Reward, prompts: list[list[int]], session: Session) -> list[dict]:
    """One {prompt_ids, completions, rewards} per distinct prompt, short prompts first.

    Everything follows from the seed; on a card, where sampling may go another way, a job that was killed resumes with those that it has kept.
    """
    return session.checkpoints.kept("candidates.json", lambda: _sampled(model, reward, prompts, session))


def _sampled(model, reward: rewards.Reward, prompts: list[list[int]], session: Session) -> list[dict]:
    settings = session.settings
    queries = distinct(prompts)
    size = max(1, BATCH // settings.num_generations)
    options = dict(max_new_tokens=[settings.max_new_tokens] * len(queries), batch_size=size, samples=settings.num_generations)
    options |= dict(model=model, prompts=queries, fim=session.fim, desc=session.name and f"{session.name} candidates")
    completions = sampled(lambda choose: complete(choose=choose, **options), seed=session.seed, session=session)
    groups = [completions[i : i + settings.num_generations] for i in range(0, len(completions), settings.num_generations)]
    scores = workers.by_first(lambda: score(reward=reward, items=[*zip(queries, groups, strict=True)], size=size, session=session))
    return [dict(prompt_ids=p, completions=c, rewards=r) for p, c, r in zip(queries, groups, scores, strict=True)]


@torch.no_grad()
def score(*, reward: rewards.Reward, items: list[tuple], size: int, session: Session) -> list[list[float]]:
    """The score of each completion of each (prompt, its completions)."""
    scores: list[list[float]] = []
    penalties = dict(missing_eos_penalty=session.settings.missing_eos_penalty, length_penalty=0.0)
    with session.autocast():
        for start in track(range(0, len(items), size), desc=session.name and f"{session.name} scores", unit="batch"):
            batch = items[start : start + size]
            packed = packing.pack(batch, device=session.device)
            ended = torch.tensor([session.fim.ended(c) for _, completions in batch for c in completions], device=session.device)
            given = rewards.score(reward=reward, packed=packed, ended=ended, **penalties)
            scores += given.view(len(batch), -1).tolist()
    return scores


def extremes(completions: list[list[int]], scores: list[float]) -> tuple[int, int] | None:
    """Places of the best and of the worst completion of a prompt; None where the best scores no higher, or is the same tokens."""
    order = sorted(range(len(scores)), key=scores.__getitem__)
    best, worst = order[-1], order[0]
    return (best, worst) if scores[best] > scores[worst] and completions[best] != completions[worst] else None


def pairs(rows: list[dict]) -> list[dict]:
    """The best completion of each prompt against its worst, as {prompt_ids, chosen_ids, rejected_ids}; a prompt without `extremes` is left out.

    Raises InputError where all are.
    """
    kept = []
    for row in rows:
        if found := extremes(row["completions"], row["rewards"]):
            chosen, rejected = (row["completions"][at] for at in found)
            kept.append(dict(prompt_ids=row["prompt_ids"], chosen_ids=chosen, rejected_ids=rejected))
    if not kept:
        raise indifferent()
    return kept


def indifferent() -> InputError:
    """The error of a reward from which nothing can be learnt."""
    return InputError(
        "the reward tells no two candidates of any prompt apart; raise `num_generations` or `temperature`, or use another reward model"
    )


def record(rows: list[dict]) -> dict:
    """For meta.json: number of candidates, mean score of all, mean score of the best of each prompt."""
    scores = [r for row in rows for r in row["rewards"]]
    best = [max(row["rewards"]) for row in rows]
    return dict(number=len(scores), mean_score=sum(scores) / len(scores), mean_best_score=sum(best) / len(best))


def tokens(rows: list[dict]) -> int:
    """Tokens of all candidates, with each prompt counted once."""
    return sum(len(row["prompt_ids"]) + sum(map(len, row["completions"])) for row in rows)
