"""The bootstrap: intervals of means and ratios over units (see statistics.py).

It is written out rather than scipy's, so that one draw of resamples serves all columns and tables of the same n. Its percentiles
are the *expanded* ones (Hesterberg 2015, The American Statistician 69:371): resampling understates the variance of a mean by
(n-1)/n and knows no heavy tails of t, so plain percentiles cover too little at the n = 8 to 64 of a cell. For more than LARGE
units Student's interval replaces it, which agrees with it there to a few percent of its width.
"""

from functools import lru_cache

import numpy as np

from .distributions import normal_probability, t_quantile
from .statistics import LARGE, SEED, t_interval

RESAMPLES = 2000


def ratio_interval(*, numerators: np.ndarray, denominators: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """(sum of numerators / sum of denominators, low, high) by a bootstrap over units (one entry each, of shape (units,)).

    With ones or counts as denominators it is the interval of a mean. One unit alone resamples to itself: low = high. Raises
    ValueError where there is no unit.
    """
    top, bottom = np.asarray(numerators, dtype=float), np.asarray(denominators, dtype=float)
    if not (n := len(top)):
        raise ValueError("an interval over no units does not exist")
    ratio = top.sum() / bottom.sum()
    if n > LARGE:
        return float(ratio), *t_interval(values=ratio + (top - ratio * bottom) / bottom.mean(), confidence=confidence)  # delta method
    (counts,) = resamples(sizes=(n,))
    resampled = np.einsum("ru,u->r", counts, top) / np.einsum("ru,u->r", counts, bottom)  # unlike BLAS, the same bytes on any threads
    return float(ratio), *expanded(resampled=resampled, units=n, confidence=confidence)


def expanded(*, resampled: np.ndarray, units: int, confidence: float) -> tuple[float, float]:
    """Expanded percentile interval of a statistic of `units` units, from its values in the resamples."""
    level = (1 - confidence) / 2
    if units > 1:
        level = normal_probability(np.sqrt(units / (units - 1)) * t_quantile(level, units - 1))
    low, high = np.quantile(resampled, [level, 1 - level])
    return float(low), float(high)


@lru_cache(maxsize=16)
def resamples(*, sizes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """How often each unit occurs in RESAMPLES resamples of one sample, or of several that are independent of each other, of these sizes.

    One array of shape (RESAMPLES, size) for each sample; the same for the same sizes. They are shared: do not write to them.
    """
    rng, counts = np.random.default_rng([SEED, *sizes]), []
    for size in sizes:
        picked = rng.integers(0, size, size=(RESAMPLES, size)) + size * np.arange(RESAMPLES)[:, None]
        counts.append(np.bincount(picked.ravel(), minlength=RESAMPLES * size).reshape(RESAMPLES, size).astype(float))
    return tuple(counts)


def resampled_ratios(*samples: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """The ratios sum(values) / sum(weights) of RESAMPLES resamples of the units of each sample, each of shape (RESAMPLES, policies).

    A sample is (values of shape (units, policies), weights of shape (units,)). Resampling is by unit, so what all policies did
    with the same unit stays together; samples are independent of each other. More than LARGE units are not drawn one by one: their
    ratios are drawn from the normal distribution with the same means and covariances (delta method).
    """
    counts = iter(resamples(sizes=tuple(len(values) for values, _ in samples if len(values) <= LARGE)))
    return [
        _normal_ratios(values, weights, place) if len(values) > LARGE else _counted_ratios(values, weights, next(counts))
        for place, (values, weights) in enumerate(samples)
    ]


def _counted_ratios(values: np.ndarray, weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.einsum("ru,up->rp", counts, values) / np.einsum("ru,u->r", counts, weights)[:, None]  # the same bytes on any threads


def _normal_ratios(values: np.ndarray, weights: np.ndarray, place: int) -> np.ndarray:
    distinct, column_of = np.unique(values, axis=1, return_inverse=True)  # equal columns get equal draws, as they do from resampled units
    ratios = distinct.sum(axis=0) / weights.sum()
    influence = (distinct - ratios * weights[:, None]) / weights.mean()
    covariance = np.atleast_2d(np.cov(influence, rowvar=False)) / len(values)
    rng = np.random.default_rng([SEED, place, *values.shape])
    return rng.multivariate_normal(ratios, covariance, size=RESAMPLES, check_valid="ignore")[:, column_of.ravel()]
