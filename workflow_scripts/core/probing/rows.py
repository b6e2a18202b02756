"""The product: rows of `extraction` and `evaluation`, joined from probes, rewards and the canaries' design."""

from ..data.cohorts import HALF_OF_ARM
from .prompts import NATIVE
from .schemas import ATTACKS

_DESIGN = ("secret_type", "cohort", "dose", "half")


def completions(*, canaries: list[dict], examples: list[dict]) -> list[dict]:
    """Rows of `completions`, from the probed canaries as planted and the probed held-out examples."""
    named = [(r["canary_id"], r) for r in canaries if r["probe"] == NATIVE] + [(r["example_id"], r) for r in examples]
    return [dict(item_id=name, completion_ids=r["completion_ids"]) for name, r in named]


def attacked(*, probed: list[dict], counts: dict[str, dict]) -> list[dict]:
    """Rows of `probed_canaries`: with the counts of sampled attacks, {canary_id: counts}, where a canary as planted has some."""
    none = dict.fromkeys(ATTACKS)
    return [row | (counts.get(row["canary_id"], none) if row["probe"] == NATIVE else none) for row in probed]


def extraction(*, probed: list[dict], canaries: list[dict], rewards: dict[str, dict], threshold: float, **chain) -> list[dict]:
    """One row per canary and probe of one policy, arm and seed (`chain`).

    `seen` says whether this arm planted the canary's half; `memorized`, whether the normalized edit distance is at most `threshold`.
    Sampled attacks count where it did: those of a base policy, which is probed once for both arms, are of all canaries. Raises
    KeyError where a probed canary is not in the design or has no reward.
    """
    design = {c["canary_id"]: c for c in canaries}
    rows = []
    for row in probed:
        canary = design[row["canary_id"]]
        seen = canary["dose"] > 0 and canary["half"] == HALF_OF_ARM[chain["arm"]]
        rows.append(
            dict(
                **chain,
                **(row if seen else row | dict.fromkeys(ATTACKS)),
                **{k: canary[k] for k in _DESIGN},
                seen=seen,
                memorized=row["normalized_edit_distance"] <= threshold,
                reward=rewards[row["canary_id"]]["reward"] if row["probe"] == NATIVE else None,
            )
        )
    return rows


def evaluation(*, probed: list[dict], rewards: dict[str, dict], **chain) -> list[dict]:
    """One row per held-out example of one policy, arm and seed (`chain`)."""
    kept = [{k: v for k, v in row.items() if not k.endswith("_ids")} for row in probed]
    scores = ("reward", "completion_reward")
    return [dict(**chain, **row, **{k: rewards[row["example_id"]][k] for k in scores}) for row in kept]
