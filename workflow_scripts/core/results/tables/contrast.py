"""Two policies on the same canaries.

Everything is paired: what counts is each canary's own difference, as planted (probe `fim`), in the arm that saw it, averaged over seeds.
"""

from itertools import combinations

import numpy as np

from ...data.cohorts import UNPLANTED
from ...parquet import declare, optional
from ...probing.prompts import NATIVE
from . import columns
from .canary_pairs import by_cohort, pair_arms
from .frames import Frame
from .power import detectable_mean, detectable_share
from .resampling import mean_intervals
from .statistics import holm, share_difference_interval, sign_flip, t_interval

MEASURES = ["memorized", "exposure", "target_logprob"]  # share; bits; nats per token of the target
COLUMNS = [*MEASURES, "target_tokens"]
SCHEMA = declare(
    "contrast",
    policy=columns.TEXT,
    other=columns.TEXT,
    cohort=columns.TEXT,
    measure=columns.TEXT,  # one of MEASURES
    n=columns.COUNT,
    **columns.mean("difference"),  # policy - other
    p=columns.NUMBER,
    p_holm=columns.NUMBER,
    minimum_detectable=columns.NUMBER,
    seeds=columns.COUNT,
    seed_low=optional(columns.NUMBER),
    seed_high=optional(columns.NUMBER),
    collapsed=columns.FLAG,
)


def default_pairs(*, policies: list[str], reference: str, later: list[str]) -> list[tuple[str, str]]:
    """(policy, other): each later policy and the reference, then each two later ones, the other being first in `policies`."""
    ordered = [policy for policy in policies if policy in later]
    return [(policy, reference) for policy in ordered] + [(second, first) for first, second in combinations(ordered, 2)]


def summarize(*, extraction: Frame, utility: list[dict], contrasts: list[tuple[str, str]], confidence: float) -> list[dict]:
    """Rows of `contrast`: policy - other for each of `contrasts`, by cohort and measure. `n` counts distinct canaries.

    p is two-sided (statistics.sign_flip); p_holm corrects it for all rows of the same measure, those of the placebo `unplanted` apart.
    minimum_detectable: the true difference that n canaries which differ as these do would show with POWER at the level
    1 - confidence, not corrected for many rows. low and high hold for other canaries; seed_low and seed_high, None for one
    seed, for other training runs. Raises ValueError where the policies were not probed with the same canaries and seeds.
    """
    collapsed = {row["policy"]: row["collapsed"] for row in utility}
    values = _values(extraction, policies={policy for both in contrasts for policy in both})
    rows = []
    for policy, other in contrasts:
        about = dict(policy=policy, other=other, collapsed=collapsed[policy] or collapsed[other])
        for (cohort, measure), wide in values.items():
            by_seed = wide[policy] - wide[other]
            if by_seed.isna().any(axis=None):
                raise ValueError(f"{policy} and {other} were not probed with the same canaries and seeds")
            rows.append(dict(**about, cohort=cohort, measure=measure, **_difference(by_seed, measure, confidence)))
    return _corrected(rows)


def _values(extraction: Frame, policies: set[str]) -> dict[tuple[str, str], Frame]:
    """{(cohort, measure): values of shape (canaries, policies x seeds)} in the assigned arm."""
    is_compared = extraction["policy"].isin(policies) & (extraction["probe"] == NATIVE)
    pairs = pair_arms(extraction=extraction[is_compared], measures=COLUMNS)
    pairs["target_logprob"] /= pairs["target_tokens"]
    return {
        (cohort, measure): part.astype({measure: float}).pivot(index="canary_id", columns=["policy", "seed"], values=measure)
        for cohort, part in by_cohort(pairs)
        for measure in MEASURES
    }


def _difference(by_seed: Frame, measure: str, confidence: float) -> dict:
    """What the differences, of shape (canaries, seeds), show."""
    differences, of_seeds = by_seed.mean(axis=1).to_numpy(), by_seed.mean(axis=0).to_numpy()
    low, high = _interval(differences, measure, confidence)
    seed_low, seed_high = t_interval(values=of_seeds, confidence=confidence) if len(of_seeds) > 1 else (None, None)
    detectable = detectable_share if measure == "memorized" else detectable_mean
    return dict(
        n=len(differences),
        difference=float(differences.mean()),
        difference_low=low,
        difference_high=high,
        p=sign_flip(differences=differences),
        minimum_detectable=detectable(differences=differences, confidence=confidence),
        seeds=len(of_seeds),
        seed_low=seed_low,
        seed_high=seed_high,
    )


def _interval(differences: np.ndarray, measure: str, confidence: float) -> tuple[float, float]:
    """Of a share by Bonett and Price, of another measure by the bootstrap."""
    if measure == "memorized":
        return share_difference_interval(differences=differences, confidence=confidence)
    [(_, low, high)] = mean_intervals(columns=differences[:, None], confidence=confidence)
    return low, high


def _corrected(rows: list[dict]) -> list[dict]:
    """The rows with p_holm, corrected over the planted cohorts' rows of a measure, and separately over those of unplanted."""
    families = [(row["measure"], row["cohort"] == UNPLANTED) for row in rows]
    for family in set(families):
        members = [row for row, own in zip(rows, families, strict=True) if own == family]
        for row, p in zip(members, holm([row["p"] for row in members]), strict=True):
            row["p_holm"] = p
    return rows
