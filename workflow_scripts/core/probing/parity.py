"""Does the shape of a batch change completions? The same items in several batch sizes and numeric types."""

from ..data.fim import Fim
from ..lm.generation import complete
from .answer import BEYOND_TARGET

BATCH_SIZES = (1, 8, 64)


def spread(*, canaries: list[dict], examples: list[dict], count: int) -> list[dict]:
    """`count` items {item_id, prompt_ids, target_ids}, half canaries and half held-out examples, at even distances; all where there are fewer."""
    named = [[dict(item_id=c["canary_id"], **_ids(c)) for c in canaries], [dict(item_id=e["source_id"], **_ids(e)) for e in examples]]
    return [item for items in named for item in items[:: max(1, -(-len(items) // max(1, count // 2)))]]


def _ids(row: dict) -> dict:
    return {k: row[k] for k in ("prompt_ids", "target_ids")}


def completions(*, model, items: list[dict], fim: Fim, desc: str) -> list[dict]:
    """Rows of `completions_by_batch`: the greedy completion of every item, once per batch size, in the model's numeric type."""
    inputs = dict(prompts=[i["prompt_ids"] for i in items], max_new_tokens=[len(i["target_ids"]) + BEYOND_TARGET for i in items])
    dtype = str(model.dtype).removeprefix("torch.")
    return [
        dict(dtype=dtype, batch_size=size, item_id=item["item_id"], completion_ids=ids)
        for size in BATCH_SIZES
        for item, ids in zip(items, complete(model=model, fim=fim, batch_size=size, desc=f"{desc} {dtype} {size}", **inputs), strict=True)
    ]
