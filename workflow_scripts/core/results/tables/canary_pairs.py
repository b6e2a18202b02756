"""Each canary beside its counterfactual twin: what the arm that planted it gives back, and what the other arm does.

A canary's *assigned* arm is the one of its half, its *control* the other arm. For `unplanted`, which neither arm planted, the assigned
arm is a placebo: its numbers say what the generator, the prompt and chance give away. All tables are aggregates of these pairs:
n counts pairs, which are canary x seed; intervals are over distinct canaries.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ... import parquet
from ...data.cohorts import COHORTS, HALF_OF_ARM
from ...probing.prompts import NATIVE
from ...probing.schemas import EXTRACTION
from . import presentations, stratified
from .frames import Column, Frame

_KEY = ["policy", "probe", "seed", "canary_id"]
_DESIGN = ["arm", "half", "secret_type", "cohort", "dose"]


def read(paths, measures: list[str]) -> Frame:
    """The rows of `extraction` in files: the columns that pair them, and `measures`. Texts and ids, which are most of it, stay on disk."""
    return parquet.read_frame(paths, EXTRACTION, [*_KEY, *_DESIGN, *measures])


def pair_arms(*, extraction: Frame, measures: list[str], probe: str | None = NATIVE) -> Frame:
    """One row per policy x probe x seed x canary: `measures` in its assigned arm, and as `control_` + name in the other.

    Other columns: policy, probe, canary_id, secret_type and cohort (categories), seed, dose, half. `probe` None stands for all of them. Raises
    ValueError where a canary lacks one of its two arms or has one twice, or a measure is missing.
    """
    rows = extraction if probe is None else extraction[extraction["probe"] == probe]
    rows = rows[[*_KEY, *_DESIGN, *measures]]
    rows = rows.astype({name: "category" for name in ("policy", "probe", "canary_id", "secret_type", "cohort")})
    if (missing := rows[measures].isna().sum()).any():
        raise ValueError(f"{missing.idxmax()} is missing in {missing.max()} rows")
    is_assigned = np.any([(rows["arm"] == arm) & (rows["half"] == half) for arm, half in HALF_OF_ARM.items()], axis=0)
    assigned = rows[is_assigned].drop(columns="arm")
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


def cells(*, pairs: Frame, utility: list[dict], shown: presentations.Shown) -> Iterator[tuple[dict, Frame]]:
    """({columns.CELL, collapsed}, pairs) of each cell of a table: policies in the order of `utility`, dose None for all doses."""
    parts = dict(iter(pairs.groupby("policy", observed=True)))
    for row in utility:
        for cohort, of_cohort in by_cohort(parts[row["policy"]]) if row["policy"] in parts else ():
            for dose, cell in by_dose(of_cohort):
                each = presentations.mean(shown, row["policy"], cohort, cell["dose"])
                yield dict(policy=row["policy"], cohort=cohort, dose=dose, presentations=each, collapsed=row["collapsed"]), cell


def seed_means(pairs: Frame, *columns: str) -> np.ndarray:
    """The mean over seeds of each column for each distinct canary, of shape (canaries, columns)."""
    return pairs.groupby("canary_id", observed=True)[list(columns)].mean().to_numpy(dtype=float)


@dataclass(frozen=True)
class Layout:
    """Pairs as canaries x seeds: in which order, of which shape, and the stratum of each canary."""

    order: np.ndarray
    shape: tuple[int, int]
    strata: np.ndarray

    def matrix(self, values) -> np.ndarray:
        """One value per pair, of shape (canaries, seeds)."""
        return np.asarray(values)[self.order].reshape(self.shape)


def layout(pairs: Frame) -> Layout:
    """How the pairs of one policy and probe are crossed. Raises ValueError where a canary was not probed under every seed."""
    ids, seeds = pairs["canary_id"].cat.codes.to_numpy(), pairs["seed"].to_numpy()
    shape = len(np.unique(ids)), len(np.unique(seeds))
    if len(pairs) != shape[0] * shape[1]:
        raise ValueError(f"{shape[0]} canaries under {shape[1]} seeds have {len(pairs)} rows: not each was probed under every seed")
    order = np.lexsort((seeds, ids))
    factors = pairs["cohort"].cat.codes, pairs["dose"], pairs["half"], pairs["secret_type"].cat.codes
    first = order[:: shape[1]]
    return Layout(order, shape, stratified.strata(*(factor.to_numpy()[first] for factor in factors)))


def hit_rate(*, pairs: Frame, is_hit, prefix: str = "", confidence: float) -> dict:
    """hits, rate, low and high, each with the `prefix`, of the pairs where `is_hit` (bools of shape (pairs,)) holds."""
    crossed = layout(pairs)
    hits = crossed.matrix(is_hit).astype(bool)
    rate, low, high = stratified.rate(hits=hits, of=np.ones_like(hits), confidence=confidence)
    return {f"{prefix}hits": int(hits.sum()), f"{prefix}rate": float(rate), f"{prefix}low": float(low), f"{prefix}high": float(high)}


def arm_means(*, pairs: Frame, measure: str, prefix: str = "", confidence: float) -> dict:
    """mean, control and difference of a measure, each with the `prefix` and its interval (_low, _high)."""
    crossed = layout(pairs)
    seen, unseen = (crossed.matrix(pairs[name]).astype(float) for name in (measure, f"control_{measure}"))
    row = {}
    for name, values in (("mean", seen), ("control", unseen), ("difference", seen - unseen)):
        row |= interval(f"{prefix}{name}", stratified.mean(values=values, strata=crossed.strata, confidence=confidence))
    return row


def share_difference(*, pairs: Frame, confidence: float) -> dict:
    """difference: the share memorized by the arm that saw the canaries minus that by the other, with its interval."""
    crossed = layout(pairs)
    values = crossed.matrix(pairs["memorized"].astype(float) - pairs["control_memorized"].astype(float))
    return interval("difference", stratified.mean(values=values, strata=crossed.strata, confidence=confidence, bound=1.0))


def interval(name: str, estimate: stratified.Estimate) -> dict:
    """The columns of a mean with its interval (columns.mean)."""
    return {name: float(estimate.value), f"{name}_low": float(estimate.low), f"{name}_high": float(estimate.high)}
