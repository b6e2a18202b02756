"""What a reward (core/training/rewards.py) gives to prompts with their completions."""

import torch

from ..data.fim import Fim
from ..progress import track
from ..training import packing
from ..training.rewards import Reward


def of_items(*, reward: Reward, items: list[dict], fim: Fim, device: str, batch_size: int, desc: str) -> list[dict]:
    """Rows of `rewards`: {item_id, prompt_ids, target_ids, completion_ids} -> reward of prompt + target + end, and of prompt +
    greedy completion, which share one reading of the prompt.
    """
    pairs = [(i["prompt_ids"], [[*i["target_ids"], fim.end], i["completion_ids"]]) for i in items]
    found = rewards(reward=reward, asked=pairs, device=device, batch_size=batch_size, desc=desc)
    return [dict(item_id=i["item_id"], reward=target, completion_reward=made) for i, (target, made) in zip(items, found, strict=True)]


@torch.inference_mode()
def rewards(
    *, reward: Reward, asked: list[tuple[list[int], list[list[int]]]], device: str, batch_size: int, desc: str
) -> list[list[float]]:
    """The reward of each (prompt, its completions), in the order given."""
    found: list[list[float]] = []
    for start in track(range(0, len(asked), batch_size), desc=desc, unit="batch"):
        batch = asked[start : start + batch_size]
        scores = iter(reward(packing.pack(batch, device=device)).double().tolist())
        found += [[next(scores) for _ in completions] for _, completions in batch]
    return found
