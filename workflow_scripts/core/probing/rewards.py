"""What a reward model gives to prompts with their completions."""

import torch

from ..data.fim import Fim
from ..progress import track
from ..training import packing


def of_items(*, model, items: list[dict], fim: Fim, batch_size: int, desc: str) -> list[dict]:
    """Rows of kind `rewards`: {item_id, prompt_ids, target_ids, completion_ids} -> reward of prompt + target + end, and of prompt +
    greedy completion, which share one reading of the prompt.
    """
    pairs = [(i["prompt_ids"], [[*i["target_ids"], fim.end], i["completion_ids"]]) for i in items]
    found = rewards(model=model, asked=pairs, batch_size=batch_size, desc=desc)
    return [dict(item_id=i["item_id"], reward=target, completion_reward=made) for i, (target, made) in zip(items, found, strict=True)]


@torch.inference_mode()
def rewards(*, model, asked: list[tuple[list[int], list[list[int]]]], batch_size: int, desc: str) -> list[list[float]]:
    """The reward model's score at the last token of each (prompt, its completions), in the order given."""
    model.eval()
    found: list[list[float]] = []
    for start in track(range(0, len(asked), batch_size), desc=desc, unit="batch"):
        batch = asked[start : start + batch_size]
        scores = iter(packing.scores(model, packing.pack(batch, device=model.device)).double().tolist())
        found += [[next(scores) for _ in completions] for _, completions in batch]
    return found
