"""Several runs side by side: every policy of each, paired contrasts where the canaries are the same, and what differs in the configs."""

from collections.abc import Iterator

import pandas as pd

from . import contrasts
from .runs import Run, shared


def side_by_side(runs: list[Run]) -> list[dict]:
    """The leaderboard rows of every run with `run`, perplexity interval and mean reward; ranks and differences are within a run.

    Each run is held against its own reference, all of them by the band and the confidence of the first run.
    """
    rows = []
    for run in runs:
        own = {row["policy"]: row for row in run.utility}
        kept = [f"{name}{end}" for name in ("perplexity", "mean_reward") for end in ("", "_low", "_high")]
        rows += [
            {"run": run.name, **row, **{key: own[row["policy"]][key] for key in kept}} for row in run.leaderboard(runs[0].config["report"])
        ]
    return rows


def unpaired(first: Run, later: Run) -> str | None:
    """Why two runs are not paired, in one sentence; None where they have the same canaries."""
    n, common = max(len(first.canaries), len(later.canaries)), shared(first.canaries, later.canaries)
    if common == n:
        return None
    return (
        f"{later.name} and {first.name} share {common} of {n} canaries (same id, prompt, target, half and dose), so their policies stand side "
        "by side without paired contrasts; give both the same canaries, corpus and examples settings, canaries.seed among them, to pair them."
    )


def matched(first: Run, later: Run) -> Iterator[tuple[str, str]]:
    """(policy of `later`, policy of `first`) to compare: the one of the same name, else the first one of the same kind and data."""
    sort_of = lambda policy: (policy["method"], policy.get("data"))  # noqa: E731
    for name, policy in later.policies.items():
        alike = [n for n, p in first.policies.items() if sort_of(p) == sort_of(policy)]
        if name in first.policies or alike:
            yield name, name if name in first.policies else alike[0]


def paired(runs: list[Run], confidence: float) -> list[dict]:
    """Rows of `contrast` of the later runs' policies less those of the first run, as `policy (run)`, corrected by Holm over all of them.

    Runs of other canaries are left out. Seeds, which are names of training draws and no pairs, are matched in their order.
    """
    first, same = runs[0], [run for run in runs[1:] if unpaired(runs[0], run) is None]
    chosen = [(of(name, run), of(other, first)) for run in same for name, other in matched(first, run)]
    if not chosen:
        return []
    seeds = min(run.extraction["seed"].nunique() for run in (first, *same))
    return contrasts.contrast(
        extraction=pd.concat([_renamed(run, seeds) for run in (first, *same)]),
        utility=[{**row, "policy": of(row["policy"], run)} for run in (first, *same) for row in run.utility],
        contrasts=chosen,
        confidence=confidence,
    )


def of(policy: str, run: Run) -> str:
    """A policy's name beside those of other runs."""
    return f"{policy} ({run.name})"


def _renamed(run: Run, seeds: int) -> pd.DataFrame:
    """The probe rows of the first `seeds` seeds, counted from 0, under names that say the run."""
    rows = run.extraction
    place = rows["seed"].map({seed: i for i, seed in enumerate(sorted(rows["seed"].unique()))})
    rows = rows.assign(seed=place, policy=rows["policy"].astype(str) + f" ({run.name})")
    return rows[rows["seed"] < seeds]
