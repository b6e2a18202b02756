"""Policies with a checkpoint in one arm alone: what they give back of what that arm saw, beside canaries that were planted nowhere.

There is no twin that was trained without a canary, so nothing can be taken off canary by canary, and no other table has these policies.
Two groups of canaries of the same generators are compared instead: the intervals of their difference are put together from those of the
groups (MOVER: Newcombe 1998, method 10; Donner and Zou 2012).
"""

import math

from ...data.cohorts import HALF_OF_ARM, UNPLANTED
from ...parquet import declare
from ...probing.prompts import NATIVE
from . import columns, stratified
from .auc import auc_columns
from .canary_pairs import by_cohort, by_dose, hit_rate, interval, layout, seed_means
from .frames import Frame

COLUMNS = ["memorized", "target_logprob", "target_tokens"]
SCHEMA = declare(
    "one_arm",
    policy=columns.TEXT,
    arm=columns.TEXT,
    cohort=columns.TEXT,
    dose=columns.DOSE,
    n=columns.COUNT,
    **columns.rate(),
    unplanted_n=columns.COUNT,
    **columns.rate("unplanted_"),
    **columns.mean("difference"),  # rate - unplanted_rate
    **columns.mean("logprob"),  # nats per token of the target
    **columns.mean("unplanted_logprob"),
    **columns.mean("logprob_difference"),
    **columns.mean("auc"),  # of telling the two groups apart by the log-probability per token
    collapsed=columns.FLAG,
)


def summarize(*, extraction: Frame, utility: list[dict], confidence: float) -> list[dict]:
    """Rows of `one_arm`: policy x planted cohort x dose, and over all doses (dose None), of canaries as planted.

    Policies that were probed in both arms have none. `n` counts canaries that the arm saw, under each seed.
    """
    rows = extraction[extraction["probe"] == NATIVE]
    rows = rows.assign(logprob=rows["target_logprob"] / rows["target_tokens"])
    rows = rows.astype({name: "category" for name in ("policy", "canary_id", "secret_type", "cohort")})
    parts = dict(iter(rows.groupby("policy", observed=True)))
    alone = [used for used in utility if used["policy"] in parts and parts[used["policy"]]["arm"].nunique() == 1]
    return [row for used in alone for row in _of_policy(parts[used["policy"]], used, confidence)]


def _of_policy(part: Frame, used: dict, confidence: float) -> list[dict]:
    arm = part["arm"].iloc[0]
    unplanted = part[part["cohort"] == UNPLANTED]
    saw = part[(part["half"] == HALF_OF_ARM[arm]) & (part["cohort"] != UNPLANTED)]
    about = dict(policy=used["policy"], arm=arm, collapsed=used["collapsed"])
    return [
        dict(**about, cohort=cohort, dose=dose, **_compared(cell, unplanted, confidence))
        for cohort, of_cohort in by_cohort(saw)
        for dose, cell in by_dose(of_cohort)
    ]


def _compared(planted: Frame, unplanted: Frame, confidence: float) -> dict:
    """What one group of canaries shows, what the unplanted ones do, and the differences."""
    row = dict(n=len(planted), unplanted_n=len(unplanted))
    for prefix, group in (("", planted), ("unplanted_", unplanted)):
        row |= hit_rate(pairs=group, is_hit=group["memorized"], prefix=prefix, confidence=confidence)
        crossed = layout(group)
        row |= interval(
            f"{prefix}logprob", stratified.mean(values=crossed.matrix(group["logprob"]), strata=crossed.strata, confidence=confidence)
        )
    row |= _difference("difference", _ends(row, "rate", ""), _ends(row, "rate", "unplanted_"))
    row |= _difference("logprob_difference", _ends(row, "logprob", ""), _ends(row, "logprob", "unplanted_"))
    members, nonmembers = (seed_means(group, "logprob")[:, 0] for group in (planted, unplanted))
    return row | auc_columns(members=members, nonmembers=nonmembers, paired=False, confidence=confidence)


def _ends(row: dict, name: str, prefix: str) -> tuple[float, float, float]:
    """(value, low, high): a rate's ends have names of their own."""
    ends = ("low", "high") if name == "rate" else (f"{name}_low", f"{name}_high")
    return row[prefix + name], row[prefix + ends[0]], row[prefix + ends[1]]


def _difference(name: str, one: tuple[float, float, float], other: tuple[float, float, float]) -> dict:
    """The difference of two independent estimates, each (value, low, high), with its interval."""
    value = one[0] - other[0]
    down, up = math.hypot(one[0] - one[1], other[2] - other[0]), math.hypot(one[2] - one[0], other[0] - other[1])
    return {name: value, f"{name}_low": value - down, f"{name}_high": value + up}
