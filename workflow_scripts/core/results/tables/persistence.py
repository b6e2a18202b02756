"""Of what an earlier policy memorized, what a later one still does, by dose. Counts are those of memorization.py.

Doses are never pooled in a verdict: what stays depends on how often it was shown, so a pooled share says most about the ladder.
"""

from ...parquet import declare, optional
from . import columns, presentations, stratified
from .canary_pairs import by_cohort, by_dose, layout, pair_arms
from .frames import Frame
from .presentations import Shown
from .statistics import mcnemar_exact

COLUMNS = ["memorized"]
SCHEMA = declare(
    "persistence",
    policy=columns.TEXT,
    reference_policy=columns.TEXT,
    cohort=columns.TEXT,
    dose=columns.DOSE,
    presentations=columns.PRESENTATIONS,
    memorized_by_reference=columns.COUNT,
    still_memorized=columns.COUNT,
    rate=optional(columns.NUMBER),
    low=optional(columns.NUMBER),
    high=optional(columns.NUMBER),
    lost=columns.COUNT,
    gained=columns.COUNT,
    mcnemar_p=columns.NUMBER,
    collapsed=columns.FLAG,
)


def summarize(*, extraction: Frame, utility: list[dict], shown: Shown, references: dict[str, str], confidence: float) -> list[dict]:
    """Rows of `persistence`: of what its reference memorized (assigned arm), the share that each policy of `references` still does.

    By cohort and dose, and over all doses (dose None).

    `references` names the earlier policy that each one is compared with. The rate is None where that one memorized nothing. `lost` and
    `gained` count canaries, of all in the row's cohort and dose, that fewer or more seeds memorize than before (with one seed: pairs that changed),
    and mcnemar_p is McNemar's exact test on them. Raises ValueError where the two were not probed with the same canaries.
    """
    pairs = pair_arms(extraction=extraction, measures=COLUMNS)
    collapsed = {row["policy"]: row["collapsed"] for row in utility}
    rows = []
    for policy, reference in references.items():
        about = dict(policy=policy, reference_policy=reference, collapsed=collapsed[policy])
        for cohort, both in by_cohort(before_and_after(pairs, reference, policy)):
            for dose, cell in by_dose(both):
                each = presentations.mean(shown, policy, cohort, cell["dose"])
                rows.append(dict(**about, cohort=cohort, dose=dose, presentations=each, **_kept(cell, confidence)))
    return rows


def before_and_after(pairs: Frame, reference: str, policy: str) -> Frame:
    """The pairs with memorized_before, of the reference, and memorized_after, of the policy."""
    before = pairs[pairs["policy"] == reference]
    after = pairs.loc[pairs["policy"] == policy, ["seed", "canary_id", "memorized"]]
    both = before.merge(after, on=["seed", "canary_id"], suffixes=("_before", "_after"), validate="one_to_one")
    if not len(both) == len(before) == len(after):
        raise ValueError(f"{policy} and {reference} were not probed with the same canaries")
    return both


def _kept(pairs: Frame, confidence: float) -> dict:
    """Counts, rate and test of one policy, cohort and dose."""
    known = pairs["memorized_before"]
    n, kept = int(known.sum()), int((known & pairs["memorized_after"]).sum())
    change = (pairs["memorized_after"].astype(int) - pairs["memorized_before"].astype(int)).groupby(pairs["canary_id"]).sum()
    lost, gained = int((change < 0).sum()), int((change > 0).sum())
    rate, low, high = _share(pairs, confidence) if n else (None, None, None)
    return dict(
        memorized_by_reference=n,
        still_memorized=kept,
        rate=rate,
        low=low,
        high=high,
        lost=lost,
        gained=gained,
        mcnemar_p=mcnemar_exact(lost=lost, gained=gained),
    )


def _share(pairs: Frame, confidence: float) -> tuple[float, float, float]:
    crossed = layout(pairs)
    before, after = (crossed.matrix(pairs[f"memorized_{when}"]).astype(bool) for when in ("before", "after"))
    return tuple(map(float, stratified.rate(hits=after, of=before, confidence=confidence)))
