"""Each canary beside its counterfactual twin: what the arm that planted it gives back, and what the other arm does.

A canary's *assigned* arm is the one of its half, its *control* the other arm. For `unplanted`, which neither arm planted, the assigned
arm is a placebo: its numbers say what the generator, the prompt and chance give away. All tables are aggregates of these pairs:
n counts pairs, which are canary x seed; intervals are over distinct canaries.
"""

from collections.abc import Iterator

import numpy as np

from ... import parquet
from ...data.cohorts import COHORTS, HALF_OF_ARM
from ...probing.prompts import NATIVE
from ...probing.schemas import EXTRACTION
from .frames import Column, Frame
from .resampling import mean_intervals
from .statistics import proportion

_KEY = ["policy", "probe", "seed", "canary_id"]
_DESIGN = ["arm", "half", "secret_type", "cohort", "dose"]


def read(paths, measures: list[str]) -> Frame:
    """The rows of `extraction` in files: the columns that pair them, and `measures`. Texts and ids, which are most of it, stay on disk."""
    return parquet.read_frame(paths, EXTRACTION, [*_KEY, *_DESIGN, *measures])


def pair_arms(*, extraction: Frame, measures: list[str], probe: str | None = NATIVE) -> Frame:
    """One row per policy x probe x seed x canary: `measures` in its assigned arm, and as `control_` + name in the other.

    Other columns: policy, probe, canary_id, secret_type and cohort (categories), seed, dose. `probe` None stands for all of them. Raises
    ValueError where a canary lacks one of its two arms or has one twice, or a measure is missing.
    """
    rows = extraction if probe is None else extraction[extraction["probe"] == probe]
    rows = rows[[*_KEY, *_DESIGN, *measures]]
    rows = rows.astype({name: "category" for name in ("policy", "probe", "canary_id", "secret_type", "cohort")})
    if (missing := rows[measures].isna().sum()).any():
        raise ValueError(f"{missing.idxmax()} is missing in {missing.max()} rows")
    is_assigned = np.any([(rows["arm"] == arm) & (rows["half"] == half) for arm, half in HALF_OF_ARM.items()], axis=0)
    assigned = rows[is_assigned].drop(columns=["arm", "half"])
    control = rows.loc[~is_assigned, [*_KEY, *measures]].rename(columns={name: f"control_{name}" for name in measures})
    pairs = assigned.merge(control, on=_KEY, validate="one_to_one")
    if not len(pairs) == len(assigned) == len(control):
        raise ValueError(_unpaired(assigned, control))
    return pairs


def _unpaired(assigned: Frame, control: Frame) -> str:
    both = assigned[_KEY].merge(control[_KEY], how="outer", indicator=True)
    alone = both[both["_merge"] != "both"]
    return f"{len(alone)} canaries were not probed in both arms, first {alone['canary_id'].iloc[0]} under {alone['policy'].iloc[0]}"


def counterfactual(pairs: Frame) -> Column:
    """Of each pair: memorized by the arm that saw the canary and not by the other (arXiv 2112.12938)."""
    return pairs["memorized"] & ~pairs["control_memorized"]


def by_cohort(pairs: Frame) -> Iterator[tuple[str, Frame]]:
    """The cohorts that occur, in their fixed order."""
    parts = dict(iter(pairs.groupby("cohort", observed=True)))
    yield from ((cohort, parts[cohort]) for cohort in COHORTS if cohort in parts)


def by_dose(pairs: Frame) -> Iterator[tuple[int | None, Frame]]:
    """Each dose in rising order, then all of them together (dose None)."""
    yield from ((int(dose), part) for dose, part in pairs.groupby("dose"))
    yield None, pairs


def cells(*, pairs: Frame, utility: list[dict]) -> Iterator[tuple[dict, Frame]]:
    """({policy, cohort, dose, collapsed}, pairs) of each cell of a table: policies in the order of `utility`, dose None for all doses."""
    parts = dict(iter(pairs.groupby("policy", observed=True)))
    for row in utility:
        for cohort, of_cohort in by_cohort(parts[row["policy"]]) if row["policy"] in parts else ():
            for dose, cell in by_dose(of_cohort):
                yield dict(policy=row["policy"], cohort=cohort, dose=dose, collapsed=row["collapsed"]), cell


def seed_means(pairs: Frame, *columns: str) -> np.ndarray:
    """The mean over seeds of each column for each distinct canary, of shape (canaries, columns)."""
    return pairs.groupby("canary_id", observed=True)[list(columns)].mean().to_numpy(dtype=float)


def hit_rate(*, pairs: Frame, is_hit, prefix: str = "", confidence: float) -> dict:
    """hits, rate, low and high, each with the `prefix`, of the pairs where `is_hit` (bools of shape (pairs,)) holds."""
    hits = int(np.sum(is_hit))
    rate, low, high = proportion(hits=hits, n=len(pairs), units=pairs["canary_id"].nunique(), confidence=confidence)
    return {f"{prefix}hits": hits, f"{prefix}rate": rate, f"{prefix}low": low, f"{prefix}high": high}


def arm_means(*, pairs: Frame, measure: str, confidence: float) -> dict:
    """mean, control and difference of a measure, each with its interval (_low, _high) by one bootstrap over canaries."""
    arms = seed_means(pairs, measure, f"control_{measure}")
    intervals = mean_intervals(columns=np.column_stack([arms, arms[:, 0] - arms[:, 1]]), confidence=confidence)
    row = {}
    for name, (value, low, high) in zip(("mean", "control", "difference"), intervals, strict=True):
        row |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return row
