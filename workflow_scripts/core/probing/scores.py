"""Score one policy: log-probability of every target, teacher-forced, KL to the reference, and what the reward model says."""

import torch

from ..data.fim import Fim
from ..progress import track
from . import measures


@torch.inference_mode()
def score_targets(*, model, reference, fim: Fim, rows: list[dict], batch_size: int, desc: str) -> list[dict]:
    """{item_id, target_logprob, target_tokens, kl_to_reference} of each item, in its order; `reference` may be the model itself."""
    model.eval()
    reference.eval()
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]["prompt_ids"]) + len(rows[i]["target_ids"]))
    results: list[dict] = [{} for _ in rows]
    for start in track(range(0, len(order), batch_size), desc=desc, unit="batch"):
        batch = order[start : start + batch_size]
        sequences = [rows[i]["prompt_ids"] + rows[i]["target_ids"] for i in batch]
        width = max(map(len, sequences))
        ids = torch.tensor([s + [fim.pad] * (width - len(s)) for s in sequences], device=model.device)
        mask = torch.tensor([[1] * len(s) + [0] * (width - len(s)) for s in sequences], device=model.device)
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        others = logits if reference is model else reference(input_ids=ids, attention_mask=mask, use_cache=False).logits
        for i, own, other in zip(batch, logits, others, strict=True):
            prompt, target = len(rows[i]["prompt_ids"]), rows[i]["target_ids"]
            results[i] = dict(
                item_id=rows[i]["item_id"],
                role=rows[i]["role"],
                target_logprob=measures.target_logprob(own, prompt_tokens=prompt, target=target),
                target_tokens=len(target),
                kl_to_reference=measures.kl_divergence(own, other, prompt_tokens=prompt, target_tokens=len(target)),
            )
    return results


def with_rewards(
    *, scores: list[dict], reward_model, rows: list[dict], completions: list[dict], fim: Fim, batch_size: int, desc: str
) -> list[dict]:
    """`scores` with the reward model's `reward` of prompt + target + end and `completion_reward` of prompt + greedy completion."""
    targets = [r["prompt_ids"] + r["target_ids"] + [fim.end] for r in rows]
    made = [r["prompt_ids"] + c["completion_ids"] for r, c in zip(rows, completions, strict=True)]
    both = rewards(model=reward_model, sequences=targets + made, fim=fim, batch_size=batch_size, desc=desc)
    pairs = zip(scores, both[: len(rows)], both[len(rows) :], strict=True)
    return [{**s, "reward": target, "completion_reward": completion} for s, target, completion in pairs]


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
