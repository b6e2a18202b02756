"""Two policies on the same canaries: what one gives back more than the other of what it was trained on.

Every contrast is a difference in differences, per canary and as planted (probe `fim`): (policy - other in the arm that saw the canary) -
(the same in the arm that did not). What changes alike whether a canary was seen or not, as under any further training, cancels.
"""

from itertools import combinations

from ...data.cohorts import HALF_OF_ARM, UNPLANTED
from ...parquet import declare, optional
from ...probing.prompts import NATIVE
from . import columns, stratified
from .canary_pairs import Layout, by_cohort, interval, layout, pair_arms
from .frames import Frame
from .power import detectable_mean, detectable_share
from .statistics import holm

MEASURES = ["memorized", "target_logprob", "exposure"]  # share; nats per token of the target; bits
COLUMNS = [*MEASURES, "target_tokens"]
SCHEMA = declare(
    "contrast",
    policy=columns.TEXT,
    other=columns.TEXT,
    cohort=columns.TEXT,
    measure=columns.TEXT,  # one of MEASURES
    endpoint=columns.FLAG,  # one of the co-primary endpoints; the rest is secondary
    placebo=columns.FLAG,  # canaries that neither arm saw: nothing but chance should show
    n=columns.COUNT,
    seen=columns.NUMBER,  # policy - other in the arm that saw the canaries
    unseen=columns.NUMBER,  # the same in the other arm
    **columns.mean("difference"),  # seen - unseen
    **columns.mean("difference_a", optional(columns.NUMBER)),  # of the canaries that arm A saw; missing where there are none
    **columns.mean("difference_b", optional(columns.NUMBER)),
    p=columns.NUMBER,
    p_holm=optional(columns.NUMBER),
    minimum_detectable=columns.NUMBER,
    seeds=columns.COUNT,
    collapsed=columns.FLAG,
)


def default_pairs(*, policies: list[str], reference: str, later: list[str]) -> list[tuple[str, str]]:
    """(policy, other): each later policy and the reference, then each two later ones, the other being first in `policies`."""
    ordered = [policy for policy in policies if policy in later]
    return [(policy, reference) for policy in ordered] + [(second, first) for first, second in combinations(ordered, 2)]


def summarize(
    *, extraction: Frame, utility: list[dict], contrasts: list[tuple[str, str]], endpoints: list[str], confidence: float
) -> list[dict]:
    """Rows of `contrast`: policy - other for each of `contrasts`, by cohort and measure. `n` counts distinct canaries.

    p is two-sided, of the interval's own test (stratified.mean). p_holm corrects it for all rows of the measures in `endpoints` over the
    planted cohorts, one family; it is None for secondary measures and for the placebo. minimum_detectable: the true difference that n
    canaries which differ as these do would show with POWER at the level 1 - confidence, not corrected for many rows. Raises
    ValueError where the policies were not probed with the same canaries and seeds.
    """
    collapsed = {row["policy"]: row["collapsed"] for row in utility}
    is_compared = extraction["policy"].isin({policy for both in contrasts for policy in both}) & (extraction["probe"] == NATIVE)
    pairs = pair_arms(extraction=extraction[is_compared], measures=COLUMNS)
    for arm in ("", "control_"):
        pairs[f"{arm}target_logprob"] /= pairs[f"{arm}target_tokens"]
    parts = {(policy, cohort): part for policy, own in pairs.groupby("policy", observed=True) for cohort, part in by_cohort(own)}
    cohorts = list(dict.fromkeys(cohort for _, cohort in parts))
    rows = []
    for policy, other in contrasts:
        about = dict(policy=policy, other=other, collapsed=collapsed[policy] or collapsed[other])
        for cohort in cohorts:
            changes = _changes(parts, policy, other, cohort)
            crossed = layout(changes)
            for measure in MEASURES:
                kind = dict(cohort=cohort, measure=measure, endpoint=measure in endpoints, placebo=cohort == UNPLANTED)
                rows.append({**about, **kind, **_difference(changes, crossed, measure, confidence)})
    return _corrected(rows)


def _changes(parts: dict[tuple, Frame], policy: str, other: str, cohort: str) -> Frame:
    """The pairs of a policy in a cohort, with every measure in both arms minus that of another policy."""
    key, names = ["canary_id", "seed"], [arm + measure for arm in ("", "control_") for measure in MEASURES]
    new, old = (parts.get((name, cohort)) for name in (policy, other))
    both = None if new is None or old is None else new.merge(old[[*key, *names]], on=key, suffixes=("", "_other"), validate="one_to_one")
    if both is None or not len(both) == len(new) == len(old):
        raise ValueError(f"{policy} and {other} were not probed with the same canaries and seeds")
    return both.assign(**{name: both[name].astype(float) - both[f"{name}_other"].astype(float) for name in names})


def _difference(changes: Frame, crossed: Layout, measure: str, confidence: float) -> dict:
    """What the changes of one measure in both arms show."""
    seen, unseen = (crossed.matrix(changes[arm + measure]) for arm in ("", "control_"))
    values, bound = seen - unseen, 1.0 if measure == "memorized" else None
    whole = stratified.mean(values=values, strata=crossed.strata, confidence=confidence, bound=bound)
    row = dict(n=len(values), seen=float(seen.mean()), unseen=float(unseen.mean()), **interval("difference", whole))
    for arm, half in HALF_OF_ARM.items():
        own = changes[changes["half"] == half]
        row |= _of_arm(f"difference_{arm.lower()}", own, measure, confidence, bound)
    detectable = detectable_mean(half_width=float(whole.high - whole.low) / 2, error=float(whole.error))
    if bound:
        detectable = max(detectable, detectable_share(differences=values.mean(axis=1), confidence=confidence))
    return row | dict(p=float(whole.p), minimum_detectable=detectable, seeds=values.shape[1])


def _of_arm(name: str, changes: Frame, measure: str, confidence: float, bound: float | None) -> dict:
    """The difference over the canaries that one arm saw, with its interval; None where there are none."""
    if changes.empty:
        return {f"{name}{end}": None for end in ("", "_low", "_high")}
    crossed = layout(changes)
    values = crossed.matrix(changes[measure] - changes[f"control_{measure}"])
    return interval(name, stratified.mean(values=values, strata=crossed.strata, confidence=confidence, bound=bound))


def _corrected(rows: list[dict]) -> list[dict]:
    """The rows with p_holm, corrected over those of the endpoints on planted cohorts."""
    family = [row for row in rows if row["endpoint"] and not row["placebo"]]
    corrected = dict(zip(map(id, family), holm([row["p"] for row in family]), strict=True))
    return [{**row, "p_holm": corrected.get(id(row))} for row in rows]
