"""What a reward (core/training/rewards.py) gives to prompts with their completions."""

import torch

from .. import workers
from ..data.fim import Fim
from ..lm import packing
from ..progress import track
from ..training.rewards import Reward, finite


def of_checkpoint(
    *,
    canaries: list[dict],
    evaluation: list[dict],
    validation: list[dict],
    completions: list[dict],
    samples: list[dict],
    fim: Fim,
    **options,
) -> tuple[list[dict], list[dict]]:
    """Rows of `rewards` and of `scored_samples` of one policy, from its `completions` and `samples`; `options` are those of `rewards`."""
    probed = items(canaries=canaries, examples=evaluation, completions=completions)
    prompts = {e["source_id"]: e["prompt_ids"] for e in [*evaluation, *validation]}
    return of_items(items=probed, fim=fim, **options), of_samples(samples=samples, prompts=prompts, **options)


def items(*, canaries: list[dict], examples: list[dict], completions: list[dict]) -> list[dict]:
    """{item_id, prompt_ids, target_ids, completion_ids} of each row of `completions`. Raises KeyError where it is of another item."""
    rows = {c["canary_id"]: c for c in canaries} | {e["source_id"]: e for e in examples}
    return [{**made, **{k: rows[made["item_id"]][k] for k in ("prompt_ids", "target_ids")}} for made in completions]


def of_items(*, reward: Reward, items: list[dict], fim: Fim, device: str, batch_size: int, desc: str) -> list[dict]:
    """Rows of `rewards`: {item_id, prompt_ids, target_ids, completion_ids} -> reward of prompt + target + end, and of prompt +
    greedy completion, which share one reading of the prompt.
    """
    pairs = [(i["prompt_ids"], [[*i["target_ids"], fim.end], i["completion_ids"]]) for i in items]
    scores = rewards(reward=reward, prompts=pairs, device=device, batch_size=batch_size, desc=desc)
    return [dict(item_id=i["item_id"], reward=target, completion_reward=own) for i, (target, own) in zip(items, scores, strict=True)]


def of_samples(
    *, reward: Reward, samples: list[dict], prompts: dict[str, list[int]], device: str, batch_size: int, desc: str
) -> list[dict]:
    """Rows of `scored_samples` from rows of `samples` and {id of an example: ids of its prompt}."""
    items = [(prompts[s["example_id"]], [s["completion_ids"]]) for s in samples]
    scores = rewards(reward=reward, prompts=items, device=device, batch_size=batch_size, desc=desc)
    kept = ("pool", "example_id", "ended", "kl", "parses", "truth_logprob", "truth_tokens")
    return [
        {k: s[k] for k in kept} | dict(tokens=len(s["completion_ids"]), reward=score) for s, (score,) in zip(samples, scores, strict=True)
    ]


@torch.inference_mode()
def rewards(
    *, reward: Reward, prompts: list[tuple[list[int], list[list[int]]]], device: str, batch_size: int, desc: str
) -> list[list[float]]:
    """The reward of each (prompt, its completions), in the order given."""

    def score(start: int) -> list[list[float]]:
        batch = prompts[start : start + batch_size]
        values = iter(finite(reward(packing.pack(batch, device=device))).double().tolist())
        return [[next(values) for _ in completions] for _, completions in batch]

    starts = track(range(0, len(prompts), batch_size), desc=desc, unit="batch")
    return [scores for batch in workers.divided(starts, score) for scores in batch]
