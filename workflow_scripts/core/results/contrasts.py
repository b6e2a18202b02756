"""Two policies on the same canaries: rows of `contrast`.

Everything is paired: what counts is each canary's own difference, as planted (probe `fim`), in the arm that saw it, averaged over seeds.
"""

import math
from functools import lru_cache
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import brentq
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from ..probing.prompts import NATIVE
from .membership import UNPLANTED
from .pairs import by_cohort, twins
from .statistics import clopper_pearson, mean_intervals, sign_flip, t_interval

MEASURES = ["memorized", "exposure", "target_logprob"]  # share; bits; nats per token of the target
READ = [*MEASURES, "target_tokens"]
POWER = 0.8


def default_pairs(*, policies: list[str], reference: str, later: list[str]) -> list[tuple[str, str]]:
    """(policy, other): each later policy and the reference, then each two later ones, the other being first in `policies`."""
    ordered = [policy for policy in policies if policy in later]
    return [(policy, reference) for policy in ordered] + [(b, a) for a, b in combinations(ordered, 2)]


def contrast(*, extraction: pd.DataFrame, utility: list[dict], contrasts: list[tuple[str, str]], confidence: float) -> list[dict]:
    """Rows of `contrast`: policy - other for each of `contrasts`, by cohort and measure. `n` counts distinct canaries.

    p is two-sided (statistics.sign_flip); p_holm holds it to all rows of the same measure, unplanted apart, which is a placebo.
    minimum_detectable: the true difference that n canaries which differ as these do would show with POWER at the level
    1 - confidence, not corrected for many rows. low and high hold for other canaries; seed_low and seed_high, None for one
    seed, for other training runs. Raises ValueError where the policies were not probed with the same canaries and seeds.
    """
    is_compared = extraction["policy"].isin({policy for both in contrasts for policy in both})
    pairs = twins(extraction=extraction[is_compared & (extraction["probe"] == NATIVE)], measures=READ)
    pairs["target_logprob"] /= pairs["target_tokens"]
    collapsed = {row["policy"]: row["collapsed"] for row in utility}
    wide = {
        (cohort, measure): found.astype({measure: float}).pivot(index="canary_id", columns=["policy", "seed"], values=measure)
        for cohort, found in by_cohort(pairs)
        for measure in MEASURES
    }
    rows = []
    for policy, other in contrasts:
        about = dict(policy=policy, other=other, collapsed=collapsed[policy] or collapsed[other])
        for (cohort, measure), values in wide.items():
            by_seed = values[policy] - values[other]
            if by_seed.isna().any(axis=None):
                raise ValueError(f"{policy} and {other} were not probed with the same canaries and seeds")
            rows.append(dict(**about, cohort=cohort, measure=measure, **_compared(by_seed, measure, confidence)))
    return _holm(rows)


def _compared(by_seed: pd.DataFrame, measure: str, confidence: float) -> dict:
    """What the differences, of shape (canaries, seeds), show."""
    detectable = detectable_share if measure == "memorized" else detectable_mean
    differences, of_seeds = by_seed.mean(axis=1).to_numpy(), by_seed.mean(axis=0).to_numpy()
    low, high = difference_interval(differences=differences, is_share=measure == "memorized", confidence=confidence)
    seed_low, seed_high = t_interval(values=of_seeds, confidence=confidence) if len(of_seeds) > 1 else (None, None)
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


def difference_interval(*, differences: np.ndarray, is_share: bool, confidence: float) -> tuple[float, float]:
    """Interval of the mean of paired differences, of shape (canaries,): by bootstrap, but for a share.

    The differences of a share lie in -1 .. 1 and are mostly 0. Too few of a sign are left to resample (at n = 64 a bootstrap may cover
    the truth in 85 % of samples), so the interval is that of Bonett and Price (2012): Student's with two further canaries, one that
    differs each way. Where no canary differs, it ends at Clopper and Pearson's bound for the share of canaries that do.
    """
    if not is_share:
        [(_, low, high)] = mean_intervals(columns=differences[:, None], confidence=confidence)
        return low, high
    if not differences.any():
        bound = clopper_pearson(hits=0, n=len(differences), confidence=confidence)[1]
        return -bound, bound
    low, high = t_interval(values=np.append(differences, [-1.0, 1.0]), confidence=confidence)
    return max(-1.0, low), min(1.0, high)


def detectable_share(*, differences: np.ndarray, confidence: float) -> float:
    """The smallest true difference of two shares that McNemar's exact test on as many canaries detects with POWER; infinite where none is.

    Canaries that differ against the trend are taken to be as common as the rarer sign of `differences`, of shape (canaries,). The
    rest differ the other way: where none differs at all, six of them are the fewest that can give p < 0.05.
    """
    n, against = len(differences), int(min((differences > 0).sum(), (differences < 0).sum()))
    return _detectable_share(n, against, 1 - confidence)


@lru_cache(maxsize=10_000)
def _detectable_share(n: int, against: int, level: float) -> float:
    rare, discordant = against / n, np.arange(1, n + 1)
    few = stats.binom.ppf(level / 2, discordant, 0.5).astype(int)  # with so few of one sign or fewer the test is significant
    few -= stats.binom.cdf(few, discordant, 0.5) > level / 2

    def missing(gap: float) -> float:
        share = (rare + gap) / (2 * rare + gap)
        found = stats.binom.cdf(few, discordant, share) + stats.binom.sf(discordant - few - 1, discordant, share)
        return float((stats.binom.pmf(discordant, n, 2 * rare + gap) * found).sum()) - POWER

    most = 1 - 2 * rare
    return brentq(missing, 1e-9, most) if most > 0 and missing(most) > 0 else math.inf


def detectable_mean(*, differences: np.ndarray, confidence: float) -> float:
    """The smallest true mean difference that a paired t test on as many canaries detects with POWER; infinite for one canary.

    It is in the unit of `differences`, of shape (canaries,), and scales with their standard deviation: 0 where all are the same.
    """
    n = len(differences)
    return float(_effect(n, 1 - confidence) * differences.std(ddof=1)) if n > 1 else math.inf


@lru_cache
def _effect(n: int, level: float) -> float:
    """Mean over standard deviation that the paired t test detects."""
    return float(TTestPower().solve_power(nobs=n, alpha=level, power=POWER, alternative="two-sided"))


def _holm(rows: list[dict]) -> list[dict]:
    """The rows with p_holm (Holm 1979), over the planted cohorts' rows of a measure, and apart from them over those of unplanted."""
    families = [(row["measure"], row["cohort"] == UNPLANTED) for row in rows]
    for family in set(families):
        members = [row for row, of in zip(rows, families, strict=True) if of == family]
        for row, p in zip(members, holm([row["p"] for row in members]), strict=True):
            row["p_holm"] = p
    return rows


def holm(p: list[float]) -> list[float]:
    """Each p corrected for all of them (Holm 1979); none stay none."""
    return multipletests(p, method="holm")[1].tolist() if p else []
