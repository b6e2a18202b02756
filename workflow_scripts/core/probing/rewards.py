"""What a reward model gives to prompts with their completions."""

import torch

from ..data.fim import Fim
from ..progress import track


def of_items(*, model, items: list[dict], fim: Fim, batch_size: int, desc: str) -> list[dict]:
    """Rows of kind `rewards`: {item_id, prompt_ids, target_ids, completion_ids} -> reward of prompt + target + end, and of prompt +
    greedy completion.
    """
    targets = [i["prompt_ids"] + i["target_ids"] + [fim.end] for i in items]
    made = [i["prompt_ids"] + i["completion_ids"] for i in items]
    both = rewards(model=model, sequences=targets + made, fim=fim, batch_size=batch_size, desc=desc)
    found = zip(items, both[: len(items)], both[len(items) :], strict=True)
    return [dict(item_id=i["item_id"], reward=target, completion_reward=completion) for i, target, completion in found]


@torch.inference_mode()
def rewards(*, model, sequences: list[list[int]], fim: Fim, batch_size: int, desc: str) -> list[float]:
    """The reward model's score at the last token of each sequence (prompt + completion), in the order given."""
    model.eval()
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    scores = [0.0] * len(sequences)
    backbone = getattr(model, model.base_model_prefix)
    for start in track(range(0, len(order), batch_size), desc=desc, unit="batch"):
        batch = order[start : start + batch_size]
        lengths = torch.tensor([len(sequences[i]) for i in batch], device=model.device)
        width = int(lengths.max())
        ids = torch.tensor([sequences[i] + [fim.pad] * (width - len(sequences[i])) for i in batch], device=model.device)
        mask = torch.arange(width, device=model.device)[None] < lengths[:, None]
        hidden = backbone(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        last = hidden[torch.arange(len(batch), device=model.device), lengths - 1]
        for i, value in zip(batch, model.score(last)[:, 0].double().tolist(), strict=True):
            scores[i] = value
    return scores
