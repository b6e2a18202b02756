"""How often canaries were shown to a policy, by it and by everything that it descends from: what stands beside a dose."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from statistics import fmean

from . import audit, files

Shown = dict[tuple[str, str, int], float | None]  # presentations of one canary, by (policy or reward model, cohort, dose); else none


def read(path, lineages: dict[str, list[str]]) -> Shown:
    """`of` the audit in a file."""
    return of(rows=files.read(path, audit.SCHEMA), lineages=lineages)


def of(*, rows: list[dict], lineages: dict[str, list[str]]) -> Shown:
    """Of rows of `audit`, summed over the stages of each of `lineages` ({policy: [ancestors and itself]}), a mean over the arms.

    Shown is the canary as planted: its prompt and target, of `rl_prompt` only the prompt. A prompt of a preference canary without its
    target is none, and what only the reward model saw is none of the policy's. None where a stage was trained elsewhere: nobody says
    how often it went through its data.
    """
    own = defaultdict(list)
    for row in rows:
        if row["sequence"] == audit.PLANTED and row["cohort"] == row["training_set"] and row["dose"] and row["stage"]:
            own[row["stage"], row["cohort"], row["dose"]].append(row["presentations"])
    by_stage = {key: _known(fmean, each) for key, each in own.items()}
    shown = defaultdict(list)
    for name, chain in lineages.items():
        for (stage, cohort, dose), each in by_stage.items():
            shown[name, cohort, dose].append(each if stage in chain else 0.0)
    return {key: _known(sum, each) for key, each in shown.items()}


def mean(shown: Shown, name: str, cohort: str, doses: Iterable[int]) -> float | None:
    """Presentations of a canary, a mean over canaries of these doses; None where one is not known."""
    return _known(fmean, [shown.get((name, cohort, int(dose)), 0.0) for dose in doses])


def _known(combine: Callable[[list[float]], float], each: list[float | None]) -> float | None:
    """What all of them come to; None where one is not known."""
    return None if None in each else combine(each)
