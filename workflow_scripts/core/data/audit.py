"""Were the canaries really in the data? Counts in the tokenised training sets, by token sequence, against the design.

Counting looks at the ids that the trainers get, never at the column that says which row is a canary (mistakes 11 and 12 of
the usual ones: one poison set in two stages; canaries lost between planting and batches).
"""

import numpy as np

from .canaries import HALF_OF_ARM


def count(*, sequences: list[list[int]], needle: list[int]) -> int:
    """How often `needle` occurs, as contiguous token ids, within the sequences (never across two of them)."""
    return Haystack(sequences).count(needle)


class Haystack:
    """Token sequences joined, each closed by -1, as bytes: every search is one pass of `bytes.find`."""

    def __init__(self, sequences: list[list[int]]):
        self.data = np.concatenate([np.asarray([*s, -1], dtype="<i4") for s in sequences] or [np.empty(0, "<i4")]).tobytes()

    def count(self, needle: list[int]) -> int:
        """Occurrences of the ids, aligned to whole tokens; overlapping ones count."""
        if not needle:
            raise ValueError("an empty sequence occurs everywhere: a canary has no tokens")
        pattern, hits, at = np.asarray(needle, dtype="<i4").tobytes(), 0, -1
        while (at := self.data.find(pattern, at + 1)) >= 0:
            hits += at % 4 == 0
        return hits


def audit(*, canaries: list[dict], arm: str, training_sets: dict[str, list[list[int]]]) -> list[dict]:
    """Rows of kind `audit` for one arm: expected and counted occurrences of each canary in each training set.

    In its own cohort's set a canary of the arm's half is expected `dose` times as `planted` (its prompt and target; for
    `rl_prompt` its prompt). Its `target` alone is expected as often there, and nowhere else: PPO is never shown one.
    """
    rows = []
    for name, sequences in training_sets.items():
        haystack = Haystack(sequences)
        for canary in canaries:
            planted_here = name == canary["cohort"] and canary["half"] == HALF_OF_ARM[arm]
            dose = canary["dose"] if planted_here else 0
            about = dict(canary_id=canary["canary_id"], cohort=canary["cohort"], arm=arm, training_set=name)
            shown = [] if name == "rl_prompt" else canary["target_ids"]
            if name == canary["cohort"]:
                rows.append({**about, "sequence": "planted", "expected": dose, "counted": haystack.count(canary["prompt_ids"] + shown)})
            rows.append({**about, "sequence": "target", "expected": dose if shown else 0, "counted": haystack.count(canary["target_ids"])})
    return rows


def failures(rows: list[dict]) -> list[str]:
    """One line per canary whose count differs from the design."""
    return [
        f"{r['canary_id']} occurs {r['counted']} times ({r['sequence']}) in {r['training_set']} of arm {r['arm']}, {r['expected']} expected"
        for r in rows
        if r["counted"] != r["expected"]
    ]
