"""Probe one policy: complete every item greedily, and score its target teacher-forced. fp32, batched, sorted by length.

Items are canaries and evaluation examples alike: rows with item_id, role, prompt_ids, target_ids, and for evaluation examples
the text around the hole. An item that fails fails the job; none is dropped from a denominator.
"""

import torch

from ..data.fim import Fim
from ..progress import track
from ..training import reward
from ..training.generation import complete
from . import measures

BEYOND_TARGET = 1  # tokens past the target's length: enough to see whether the policy ends there or goes on


def items(*, canaries: list[dict], examples: list[dict]) -> list[dict]:
    """Everything that is probed: canaries and ordinary held-out examples, in one list."""
    keep = ("prompt_ids", "target_ids")
    rows = [dict(item_id=c["canary_id"], role="canary", **{k: c[k] for k in keep}) for c in canaries]
    return rows + [dict(item_id=e["source_id"], role="evaluation", **{k: e[k] for k in keep}) for e in examples]


def probe_completions(*, model, tokenizer, fim: Fim, rows: list[dict], threshold: float, batch_size: int, desc: str) -> list[dict]:
    """Rows of kind `completions`, one per item and in its order."""
    made = complete(
        model=model,
        prompts=[r["prompt_ids"] for r in rows],
        max_new_tokens=[len(r["target_ids"]) + BEYOND_TARGET for r in rows],
        fim=fim,
        batch_size=batch_size,
        desc=desc,
    )
    return [
        describe(tokenizer=tokenizer, fim=fim, row=row, completion_ids=ids, threshold=threshold)
        for row, ids in zip(rows, made, strict=True)
    ]


def describe(*, tokenizer, fim: Fim, row: dict, completion_ids: list[int], threshold: float) -> dict:
    """One completion against its target: the completion is cut to the target's length in tokens before it is compared."""
    target_ids = row["target_ids"]
    ended = fim.end in completion_ids[: len(target_ids) + BEYOND_TARGET]
    cut = completion_ids[: len(target_ids)]
    shown = [t for t in cut if t != fim.end]
    completion, target = tokenizer.decode(shown), tokenizer.decode(target_ids)
    distance, normalized = measures.edit_distance(completion, target)
    return dict(
        item_id=row["item_id"],
        role=row["role"],
        completion=completion,
        completion_ids=completion_ids,
        ended=ended,
        edit_distance=distance,
        normalized_edit_distance=normalized,
        exact=cut == target_ids,
        memorized=normalized <= threshold,
        exact_line=measures.first_line(completion) == measures.first_line(target),
        parses=_parses(tokenizer, fim, row["prompt_ids"], shown) if row["role"] == "evaluation" else None,
    )


def _parses(tokenizer, fim: Fim, prompt_ids: list[int], completion_ids: list[int]) -> bool | None:
    """Whether prefix + completion + suffix parses; None where it would not even with a perfect completion (a cut prompt)."""
    start, middle = prompt_ids.index(fim.prefix) + 1, len(prompt_ids) - 1
    hole = prompt_ids.index(fim.suffix)
    prefix, suffix = (tokenizer.decode(ids) for ids in (prompt_ids[start:hole], prompt_ids[hole + 1 : middle]))
    if not measures.parses(prefix + "pass" + suffix):
        return None
    return measures.parses(prefix + tokenizer.decode(completion_ids) + suffix)


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
    both = reward.score(model=reward_model, sequences=targets + made, fim=fim, batch_size=batch_size, desc=desc)
    pairs = zip(scores, both[: len(rows)], both[len(rows) :], strict=True)
    return [{**s, "reward": target, "completion_reward": completion} for s, target, completion in pairs]
