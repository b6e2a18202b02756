"""What of the canaries came back, and what of it stayed: rows of `memorization` and `persistence`.

Every count is of pairs, canary x seed (pairs.py), but seeds repeat canaries and add none: intervals are Clopper-Pearson with the
number of distinct canaries as n (statistics.proportion). Only `memorization` knows other probes than NATIVE.
"""

import pandas as pd

from ..probing.prompts import PROMPTS
from .pairs import by_cohort, cells, counterfactual, rate, twins
from .statistics import mcnemar_exact, proportion

MEASURES = ["memorized"]


def memorization(*, extraction: pd.DataFrame, utility: list[dict], confidence: float) -> list[dict]:
    """Rows of `memorization`: policy x probe x cohort x dose, and over all doses (dose None).

    Counterfactual = memorized by the arm that saw the canary and not by the other (arXiv 2112.12938). Policies are in the order of
    `utility`, whose `collapsed` they take over, probes in that of PROMPTS.
    """
    pairs = twins(extraction=extraction, measures=MEASURES, probe=None)
    pairs = pairs.assign(counterfactual_memorized=counterfactual(pairs))
    parts = dict(iter(pairs.groupby("probe", observed=True)))
    return [
        dict(**about, probe=probe, **_rates(cell, confidence))
        for policy in utility
        for probe in PROMPTS
        if probe in parts
        for about, cell in cells(pairs=parts[probe], utility=[policy])
    ]


def _rates(pairs: pd.DataFrame, confidence: float) -> dict:
    """n, and hits, rate and interval of the assigned arm, of the control, and of the counterfactual."""
    row = {"n": len(pairs)}
    for prefix in ("", "control_", "counterfactual_"):
        row |= rate(pairs=pairs, is_hit=pairs[f"{prefix}memorized"], prefix=prefix, confidence=confidence)
    return row


def persistence(*, extraction: pd.DataFrame, utility: list[dict], references: dict[str, str], confidence: float) -> list[dict]:
    """Rows of `persistence`: of what its reference memorized (assigned arm), the share that each policy of `references` still does.

    `references` names the earlier policy that each one is held against. The rate is None where that one memorized nothing. `lost` and
    `gained` count canaries, over the whole cohort, that fewer or more seeds memorize than before (with one seed: pairs that changed),
    and mcnemar_p is McNemar's exact test on them.
    """
    pairs = twins(extraction=extraction, measures=MEASURES)
    collapsed = {u["policy"]: u["collapsed"] for u in utility}
    rows = []
    for policy, reference in references.items():
        before = pairs[pairs["policy"] == reference]
        after = pairs.loc[pairs["policy"] == policy, ["seed", "canary_id", "memorized"]]
        both = before.merge(after, on=["seed", "canary_id"], suffixes=("_before", "_after"), validate="one_to_one")
        if not len(both) == len(before) == len(after):
            raise ValueError(f"{policy} and {reference} were not probed with the same canaries")
        for cohort, found in by_cohort(both):
            rows.append(dict(policy=policy, reference=reference, cohort=cohort, collapsed=collapsed[policy], **_kept(found, confidence)))
    return rows


def _kept(pairs: pd.DataFrame, confidence: float) -> dict:
    """Counts, rate and test of one policy and cohort; columns memorized_before and memorized_after."""
    known = pairs[pairs["memorized_before"]]
    n, kept = len(known), int(known["memorized_after"].sum())
    change = (pairs["memorized_after"].astype(int) - pairs["memorized_before"].astype(int)).groupby(pairs["canary_id"]).sum()
    lost, gained = int((change < 0).sum()), int((change > 0).sum())
    share, low, high = proportion(hits=kept, n=n, units=known["canary_id"].nunique(), confidence=confidence) if n else (None, None, None)
    return dict(
        memorized_by_reference=n,
        still_memorized=kept,
        rate=share,
        low=low,
        high=high,
        lost=lost,
        gained=gained,
        mcnemar_p=mcnemar_exact(lost=lost, gained=gained),
    )
