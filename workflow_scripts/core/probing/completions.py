"""Probe one policy: complete every item greedily and compare with its target. fp32, batched, sorted by length.

Evaluation examples carry the text around the hole in their prompt. An item that fails fails the job; none is dropped from a
denominator.
"""

from ..data.fim import Fim
from ..training.generation import complete
from . import measures

BEYOND_TARGET = 1  # tokens past the target's length: enough to see whether the policy ends there or goes on


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
