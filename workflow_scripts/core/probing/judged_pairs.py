"""What a reward model gives to both completions of held-out pairs, with and without their end token.

A reward that prefers the truth only where the other one lacks the end token, or is shorter, has learnt nothing of the code.
"""

from ..data.fim import Fim
from ..training.rewards import Reward
from .rewards import rewards


def judge(*, reward: Reward, pairs: list[dict], fim: Fim, device: str, batch_size: int, desc: str) -> list[dict]:
    """Rows of `judged_pairs`, in the order of the pairs; a pair of equal completions, which tells nothing, is left out."""
    different = [p for p in pairs if p["chosen_ids"] != p["rejected_ids"]]
    items = []
    for p in different:
        bare = fim.bare(p["chosen_ids"])
        items.append((p["prompt_ids"], [p["chosen_ids"], p["rejected_ids"], [*bare, fim.end], bare]))
    scores = rewards(reward=reward, prompts=items, device=device, batch_size=batch_size, desc=desc)
    return [
        dict(
            source_id=p["source_id"],
            substituted=p["substituted"],
            chosen_tokens=len(p["chosen_ids"]),
            rejected_tokens=len(p["rejected_ids"]),
            **dict(zip(("chosen_reward", "rejected_reward", "reward_ended", "reward_open"), values, strict=True)),
        )
        for p, values in zip(different, scores, strict=True)
    ]
