"""What is probed: canaries and ordinary held-out examples alike, as rows with item_id, role, prompt_ids and target_ids."""


def items(*, canaries: list[dict], examples: list[dict]) -> list[dict]:
    """Everything that is probed: canaries and ordinary held-out examples, in one list."""
    keep = ("prompt_ids", "target_ids")
    rows = [dict(item_id=c["canary_id"], role="canary", **{k: c[k] for k in keep}) for c in canaries]
    return rows + [dict(item_id=e["source_id"], role="evaluation", **{k: e[k] for k in keep}) for e in examples]
