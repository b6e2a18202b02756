"""Intervals and tests for small counts, by scipy: exact ones for rates and pairs, a percentile bootstrap for means.

Canaries and held-out examples are the units that were drawn at random. Seeds and arms repeat a unit and add none, so every
interval here is over units; repeats only make a unit's own value more exact.
"""

import numpy as np
from scipy import stats

RESAMPLES = 2000
BATCH = 200  # resamples held in memory at a time: 200 x 10,000 examples are 16 MB
SEED = 0  # same rows, same interval


def clopper_pearson(*, hits: float, n: int, confidence: float) -> tuple[float, float]:
    """Exact interval (low, high) of a rate of `hits` in `n` units (Clopper and Pearson 1934), by quantiles of the beta distribution.

    `hits` may be fractional: the mean over seeds. 0 hits give low = 0, n hits high = 1. Raises ValueError where n is 0.
    """
    if n < 1 or not 0 <= hits <= n:
        raise ValueError(f"a rate needs 0 <= hits <= n and n >= 1, not {hits} of {n}")
    tail = (1 - confidence) / 2
    low = stats.beta.ppf(tail, hits, n - hits + 1) if hits > 0 else 0.0
    high = stats.beta.ppf(1 - tail, hits + 1, n - hits) if hits < n else 1.0
    return float(low), float(high)


def proportion(*, hits: int, n: int, units: int, confidence: float) -> tuple[float, float, float]:
    """(rate, low, high) of `hits` in `n` observations of `units` distinct units: the interval is that of rate x units in units.

    Several observations of a unit are not independent; counting them as n would narrow the interval wrongly.
    """
    if n < 1:
        raise ValueError("a rate of no observations does not exist")
    rate = hits / n
    return rate, *clopper_pearson(hits=rate * units, n=units, confidence=confidence)


def mcnemar_exact(*, lost: int, gained: int) -> float:
    """Two-sided exact p of McNemar's test on discordant pairs (a binomial test of `lost` in lost + gained); 1.0 where there are none."""
    return float(stats.binomtest(lost, lost + gained, 0.5).pvalue) if lost + gained else 1.0


def ratio_interval(*, numerators: np.ndarray, denominators: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """(sum of numerators / sum of denominators, low, high) by a percentile bootstrap over units (one entry each, of shape (units,)).

    With ones or counts as denominators it is the interval of a mean. One unit alone resamples to itself: low = high.
    Raises ValueError where there is no unit.
    """
    numerators, denominators = np.asarray(numerators, dtype=float), np.asarray(denominators, dtype=float)
    if not len(numerators):
        raise ValueError("an interval over no units does not exist")
    value = float(numerators.sum() / denominators.sum())
    if len(numerators) == 1:
        return value, value, value
    found = stats.bootstrap(
        (numerators, denominators),
        _ratio,
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=RESAMPLES,
        batch=BATCH,
        confidence_level=confidence,
        rng=np.random.default_rng(SEED),
    )
    return value, float(found.confidence_interval.low), float(found.confidence_interval.high)


def _ratio(numerators: np.ndarray, denominators: np.ndarray, axis: int = -1) -> np.ndarray:
    return numerators.sum(axis=axis) / denominators.sum(axis=axis)
