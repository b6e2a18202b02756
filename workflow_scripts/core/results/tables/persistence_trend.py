"""Does a stronger KL penalty keep more? The share that stays of what the reference memorized, as a trend over policies, by dose.

Policies that differ in kl_coef alone form a sweep. The slope is that of the straight line through kept (0 or 1) against the
coefficient's logarithm, which is what the Cochran-Armitage test is about; but the same canaries are tried at every coefficient, so each
canary has a slope of its own, and the interval is that of their mean (stratified.py).
"""

import numpy as np

from ...parquet import declare
from . import columns, presentations, stratified
from .canary_pairs import interval, layout, pair_arms
from .frames import Frame
from .persistence import before_and_after
from .presentations import Shown

COLUMNS = ["memorized"]
LOG2, RANK = "log2", "rank"
SCHEMA = declare(
    "persistence_trend",
    policies=columns.TEXT,  # of the sweep, by rising kl_coef
    kl_coefs=columns.TEXT,  # theirs
    reference_policy=columns.TEXT,
    cohort=columns.TEXT,
    dose=columns.COUNT,
    presentations=columns.PRESENTATIONS,
    scale=columns.TEXT,  # the slope is per doubling of kl_coef (log2), or per step of the ladder (rank) where one is 0
    memorized_by_reference=columns.COUNT,
    still_memorized=columns.TEXT,  # under each policy
    **columns.mean("slope"),  # of the share kept
    p=columns.NUMBER,
    collapsed=columns.FLAG,  # any of the policies
)


def summarize(
    *, extraction: Frame, utility: list[dict], shown: Shown, sweeps: list[dict[str, float]], references: dict[str, str], confidence: float
) -> list[dict]:
    """Rows of `persistence_trend`: each of `sweeps` ({policy: kl_coef}) x cohort x dose of which the reference memorized something.

    p is two-sided, of no trend. Raises ValueError where the policies were not probed with the same canaries and seeds.
    """
    pairs = pair_arms(extraction=extraction, measures=COLUMNS)
    collapsed = {row["policy"]: row["collapsed"] for row in utility}
    rows = []
    for sweep in sweeps:
        policies = sorted(sweep, key=sweep.get)
        reference, (scale, x) = references[policies[0]], scaled([sweep[policy] for policy in policies])
        about = dict(policies=", ".join(policies), kl_coefs=", ".join(f"{sweep[policy]:g}" for policy in policies))
        about |= dict(reference_policy=reference, scale=scale, collapsed=any(map(collapsed.get, policies)))
        tried = {policy: before_and_after(pairs, reference, policy) for policy in policies}
        cells = tried[policies[0]].groupby(["cohort", "dose"], observed=True)["memorized_before"].any()
        for cohort, dose in cells[cells].index:
            of = [rows_[(rows_["cohort"] == cohort) & (rows_["dose"] == dose)] for rows_ in tried.values()]
            each = presentations.mean(shown, policies[0], cohort, [dose])
            rows.append(dict(**about, cohort=cohort, dose=dose, presentations=each, **_trend(of, x, confidence)))
    return rows


def scaled(kl_coefs: list[float]) -> tuple[str, np.ndarray]:
    """(LOG2, the logarithms) of rising coefficients, or (RANK, their places, equal ones sharing one) where one is 0."""
    if min(kl_coefs) > 0:
        return LOG2, np.log2(kl_coefs)
    return RANK, np.unique(kl_coefs, return_inverse=True)[1].astype(float)


def _trend(of: list[Frame], x: np.ndarray, confidence: float) -> dict:
    """Counts and slope over policies, whose pairs `of` has, all of one cohort and dose."""
    known, kept = (
        np.stack([layout(pairs).matrix(pairs[f"memorized_{when}"]).astype(bool) for pairs in of]) for when in ("before", "after")
    )
    before, kept = known[0], kept & known
    estimate = slope(kept=kept, before=before, x=x, strata=layout(of[0]).strata, confidence=confidence)
    counts = dict(memorized_by_reference=int(before.sum()), still_memorized=", ".join(str(int(policy.sum())) for policy in kept))
    return counts | interval("slope", estimate) | dict(p=float(estimate.p))


def slope(*, kept: np.ndarray, before: np.ndarray, x: np.ndarray, strata: np.ndarray, confidence: float) -> stratified.Estimate:
    """The slope of the share kept per unit of `x` (shape (policies,)), over the canaries and seeds that were known `before`.

    `kept` has the shape (policies, ..., canaries, seeds), `before` (canaries, seeds).
    """
    weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    slopes = np.tensordot(weights, kept.astype(float), axes=1)
    some = before.any(axis=-1)
    values = stratified.ratio_values(slopes[..., some, :], before[some].astype(float))
    steepest = float(weights[weights > 0].sum())  # of a canary that the upper part of the ladder keeps and the lower does not
    return stratified.mean(values=values, strata=stratified.strata(strata[some]), confidence=confidence, bound=steepest)
