"""Completions from a policy, greedy or sampled: batched, sorted by length, left-padded."""

import torch

from ..data.fim import Fim
from ..progress import track


def pad_left(sequences: list[list[int]], *, fim: Fim, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, mask), both batch x longest, padded on the left."""
    width = max(map(len, sequences))
    ids = torch.tensor([[fim.pad] * (width - len(s)) + s for s in sequences], device=device)
    mask = torch.tensor([[0] * (width - len(s)) + [1] * len(s) for s in sequences], device=device)
    return ids, mask


@torch.inference_mode()
def complete(
    *, model, prompts: list[list[int]], max_new_tokens: list[int], fim: Fim, batch_size: int, desc: str, temperature: float = 0.0
) -> list[list[int]]:
    """New token ids of each prompt, at most its `max_new_tokens`, up to and including the end token where it comes.

    Temperature 0 is greedy; else ancestral sampling from the full distribution (no top-k, no top-p), by torch's global seed.
    The order of results is that of the prompts.
    """
    model.eval()
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), max_new_tokens[i]))
    results: list[list[int]] = [[] for _ in prompts]
    choice = (
        dict(do_sample=True, temperature=temperature, top_k=0, top_p=1.0) if temperature > 0 else dict(do_sample=False, temperature=None)
    )
    for start in track(range(0, len(order), batch_size), desc=desc, unit="batch"):
        batch = order[start : start + batch_size]
        ids, mask = pad_left([prompts[i] for i in batch], fim=fim, device=model.device)
        made = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max(max_new_tokens[i] for i in batch),
            eos_token_id=fim.end,
            pad_token_id=fim.pad,
            **choice,
        )
        for i, row in zip(batch, made[:, ids.shape[1] :].tolist(), strict=True):
            row = row[: row.index(fim.end) + 1] if fim.end in row else row
            results[i] = row[: max_new_tokens[i]]
    return results
