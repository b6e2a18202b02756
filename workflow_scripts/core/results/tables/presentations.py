"""How often canaries were shown to a policy, by it and by everything that it descends from: what stands beside a dose."""

from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean

from . import audit, files

Shown = dict[tuple[str, str, int], float]  # presentations of one canary, by (policy or reward model, cohort, dose); else none


def read(path, lineages: dict[str, list[str]]) -> Shown:
    """`of` the audit in a file."""
    return of(rows=files.read(path, audit.SCHEMA), lineages=lineages)


def of(*, rows: list[dict], lineages: dict[str, list[str]]) -> Shown:
    """Of rows of `audit`, summed over the stages of each of `lineages` ({policy: [ancestors and itself]}), a mean over the arms.

    Shown is the canary as planted: its prompt and target, of `rl_prompt` only the prompt. A prompt of a preference canary without its
    target is none, and what only the reward model saw is none of the policy's.
    """
    own = defaultdict(list)
    for row in rows:
        if row["sequence"] == audit.PLANTED and row["cohort"] == row["training_set"] and row["dose"] and row["stage"]:
            own[row["stage"], row["cohort"], row["dose"]].append(row["presentations"])
    shown = defaultdict(float)
    for name, chain in lineages.items():
        for (stage, cohort, dose), each in own.items():
            shown[name, cohort, dose] += fmean(each) if stage in chain else 0.0
    return dict(shown)


def mean(shown: Shown, name: str, cohort: str, doses: Iterable[int]) -> float:
    """Presentations of a canary, a mean over canaries of these doses."""
    return fmean(shown.get((name, cohort, int(dose)), 0.0) for dose in doses)
