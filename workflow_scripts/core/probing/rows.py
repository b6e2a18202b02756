"""The product: rows of kinds `extraction` and `evaluation`, joined from completions, scores and the canaries' design."""

from ..data.canaries import HALF_OF_ARM

NATIVE = "fim"  # the probe: the canary's own prompt, in the order in which it was planted


def join(*, completions: list[dict], scores: list[dict]) -> list[dict]:
    """Completions and scores of the same items, side by side; raises ValueError where they are not of the same items."""
    if [c["item_id"] for c in completions] != [s["item_id"] for s in scores]:
        raise ValueError("completions and scores are not of the same items in the same order")
    return [{**c, **s} for c, s in zip(completions, scores, strict=True)]


def extraction(*, probed: list[dict], canaries: list[dict], policy: str, arm: str, seed: int) -> list[dict]:
    """One row per canary of one policy, arm and seed; `seen` says whether this arm planted its half."""
    found = {p["item_id"]: p for p in probed if p["role"] == "canary"}
    design = ("canary_id", "kind", "cohort", "dose", "half")
    measured = (
        "completion",
        "ended",
        "edit_distance",
        "normalized_edit_distance",
        "exact",
        "memorized",
        "target_logprob",
        "target_tokens",
        "reward",
    )
    return [
        dict(
            policy=policy,
            arm=arm,
            seed=seed,
            probe=NATIVE,
            seen=c["dose"] > 0 and c["half"] == HALF_OF_ARM[arm],
            **{k: c[k] for k in design},
            **{k: found[c["canary_id"]][k] for k in measured},
        )
        for c in canaries
    ]


def evaluation(*, probed: list[dict], policy: str, arm: str, seed: int) -> list[dict]:
    """One row per held-out example of one policy, arm and seed."""
    measured = ("exact_line", "parses", "target_logprob", "target_tokens", "kl_to_reference", "reward", "completion_reward")
    return [
        dict(policy=policy, arm=arm, seed=seed, example_id=p["item_id"], **{k: p[k] for k in measured})
        for p in probed
        if p["role"] == "evaluation"
    ]
