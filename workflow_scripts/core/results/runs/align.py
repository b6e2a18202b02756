"""Several runs side by side: every policy of each, paired contrasts where the canaries are the same, and what differs in the configs."""

from collections.abc import Iterator

import pandas as pd

from ..tables import contrast
from .load import DESIGN, Run


def side_by_side(runs: list[Run]) -> list[dict]:
    """The leaderboard rows of every run with `run`, perplexity interval and mean reward; ranks and differences are within a run.

    Each run is compared with its own reference, all of them by the band and the confidence of the first run.
    """
    columns = [f"{name}{end}" for name in ("perplexity", "mean_reward") for end in ("", "_low", "_high")]
    rows = []
    for run in runs:
        used = {row["policy"]: row for row in run.utility}
        for row in run.leaderboard(runs[0].config["report"]):
            rows.append({"run": run.name, **row, **{column: used[row["policy"]][column] for column in columns}})
    return rows


def shared_canaries(one: pd.DataFrame, other: pd.DataFrame) -> int:
    """How many canaries two runs have in common: the same id, type of secret, cohort, dose, half, prompt and target."""
    return len(one.merge(other, on=DESIGN))


def unpaired(first: Run, later: Run) -> str | None:
    """Why two runs are not paired, in one sentence; None where they have the same canaries."""
    n, common = max(len(first.canaries), len(later.canaries)), shared_canaries(first.canaries, later.canaries)
    if common == n:
        return None
    return (
        f"{later.name} and {first.name} share {common} of {n} canaries (same id, prompt, target, half and dose), so their policies stand side "
        "by side without paired contrasts; to pair them, give both the same canaries, corpus and examples settings, canaries.seed among them."
    )


def matched(first: Run, later: Run) -> Iterator[tuple[str, str]]:
    """(policy of `later`, policy of `first`) to compare: the one of the same name, else the first one of the same method and data."""
    training = lambda policy: (policy["method"], policy.get("data"))  # noqa: E731
    for name, policy in later.policies.items():
        alike = [other for other in first.policies if training(first.policies[other]) == training(policy)]
        if name in first.policies or alike:
            yield name, name if name in first.policies else alike[0]


def paired(runs: list[Run], report: dict) -> list[dict]:
    """Rows of `contrast` of the later runs' policies minus those of the first run, as `policy (run)`, corrected by Holm over all of them.

    Endpoints and confidence are those of `report`. Runs of other canaries are left out. Seeds, which are names of training draws
    and no pairs, are matched in their order.
    """
    first, same = runs[0], [run for run in runs[1:] if unpaired(runs[0], run) is None]
    contrasts = [(in_run(name, run), in_run(other, first)) for run in same for name, other in matched(first, run)]
    if not contrasts:
        return []
    seeds = min(run.extraction["seed"].nunique() for run in (first, *same))
    return contrast.summarize(
        extraction=pd.concat([_renamed(run, seeds) for run in (first, *same)]),
        utility=[{**row, "policy": in_run(row["policy"], run)} for run in (first, *same) for row in run.utility],
        contrasts=contrasts,
        endpoints=report["endpoints"],
        confidence=report["confidence"],
    )


def in_run(policy: str, run: Run) -> str:
    """A policy's name beside those of other runs."""
    return f"{policy} ({run.name})"


def _renamed(run: Run, seeds: int) -> pd.DataFrame:
    """The probe rows of the first `seeds` seeds, counted from 0, with the run in the policies' names."""
    rows = run.extraction
    places = {seed: place for place, seed in enumerate(sorted(rows["seed"].unique()))}
    rows = rows.assign(seed=rows["seed"].map(places), policy=rows["policy"].astype(str) + f" ({run.name})")
    return rows[rows["seed"] < seeds]


def differing(configs: dict[str, dict]) -> list[dict]:
    """[{key, run: value, ...}] of the dotted config keys in which the runs differ; None where a run lacks one. `run` itself is left out."""
    return [row for row in _differing("", configs) if row["key"] != "run"]


def _differing(key: str, values: dict[str, object]) -> list[dict]:
    """The rows of `key`, given its value in every run, and of the keys below it."""
    maps = [value for value in values.values() if isinstance(value, dict) and value]
    if not maps:
        return [{"key": key, **values}] if len({repr(value) for value in values.values()}) > 1 else []
    rows = []
    for name in sorted({name for value in maps for name in value}):
        inner = {run: value.get(name) if isinstance(value, dict) else None for run, value in values.items()}
        rows += _differing(f"{key}.{name}" if key else name, inner)
    return rows
