"""Intervals and tests for small counts: exact ones for rates and pairs, by scipy, and a bootstrap for means and ratios.

Canaries and held-out examples are the units that were drawn at random. Seeds and arms repeat a unit and add none, so every
interval here is over units; repeats only make a unit's own value more exact.

The bootstrap is written out rather than scipy's, so that one draw of resamples serves all columns and tables of the same n. Its
percentiles are the *expanded* ones (Hesterberg 2015, The American Statistician 69:371): resampling understates the variance of a
mean by (n-1)/n and knows no heavy tails of t, so plain percentiles cover too little at the n = 8 to 64 of a cell. Of more than
LARGE units, where they agree with it to a few percent of its width, intervals are Student's and p that of the normal distribution.
"""

from functools import lru_cache

import numpy as np
from scipy import special  # not scipy.stats, which takes half a second to import and gives the same quantiles

RESAMPLES = 2000
FLIPS = 9999  # random assignments of signs: the smallest p is 1 / 10,000
LARGE = 500
SEED = 0  # same rows, same interval


@lru_cache(maxsize=10_000)
def clopper_pearson(*, hits: float, n: int, confidence: float) -> tuple[float, float]:
    """Exact interval (low, high) of a rate of `hits` in `n` units (Clopper and Pearson 1934), by quantiles of the beta distribution.

    `hits` may be fractional: the mean over seeds. 0 hits give low = 0, n hits high = 1. Raises ValueError where n is 0.
    """
    if n < 1 or not 0 <= hits <= n:
        raise ValueError(f"a rate needs 0 <= hits <= n and n >= 1, not {hits} of {n}")
    tail = (1 - confidence) / 2
    low = special.betaincinv(hits, n - hits + 1, tail) if hits > 0 else 0.0
    high = special.betaincinv(hits + 1, n - hits, 1 - tail) if hits < n else 1.0
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
    fewer, more = sorted((lost, gained))
    if more - fewer < 2:  # the two tails are everything
        return 1.0
    return 2 * float(special.betainc(more, fewer + 1, 0.5))  # the beta integral is P(X <= fewer)


def sign_flip(*, differences: np.ndarray) -> float:
    """Two-sided p of paired `differences`, of shape (units,): how often random signs give a sum as far from 0 as theirs.

    Exact where all non-zero differences are of one size, which is McNemar's test, and where there are few; else of FLIPS random
    assignments, with their own counted among them (Phipson and Smyth 2010). Units without a difference do not matter.
    """
    sizes = np.abs(differences[differences != 0])
    if not len(sizes) or np.allclose(sizes, sizes[0], rtol=1e-9, atol=0):
        return mcnemar_exact(lost=int((differences < 0).sum()), gained=int((differences > 0).sum()))
    if len(sizes) > LARGE:
        return float(2 * special.ndtr(-abs(differences.sum()) / np.sqrt((sizes**2).sum())))
    if exact := 2 ** len(sizes) <= FLIPS:
        negative = np.arange(2 ** len(sizes))[:, None] >> np.arange(len(sizes)) & 1
    else:
        negative = np.random.default_rng(SEED).integers(0, 2, size=(FLIPS, len(sizes)), dtype=np.int8)
    flipped = np.abs((1.0 - 2.0 * negative) @ sizes)
    as_far = int((flipped >= abs(differences.sum()) - 1e-9 * sizes.sum()).sum())  # sums in another order differ in their last digits
    return as_far / len(flipped) if exact else (as_far + 1) / (FLIPS + 1)


def groups_differ(*, values: np.ndarray, groups: np.ndarray, strata: np.ndarray) -> float:
    """p of `values` (shape (units,)) having the same mean in all `groups`: how often groups dealt at random within each of `strata`
    differ as much, by the variance of their means (each stratum's own mean taken off first).

    Of FLIPS random deals, with the real one counted among them (Phipson and Smyth 2010). 1.0 where there is one group, or values
    differ within no stratum. Of more than LARGE units it is that of the F distribution.
    """
    names, group = np.unique(groups, return_inverse=True)
    levels, stratum = np.unique(strata, return_inverse=True)
    rest = values - (np.bincount(stratum, values) / np.bincount(stratum))[stratum]
    if len(names) < 2 or np.allclose(rest, 0, atol=1e-12):
        return 1.0
    sizes = np.bincount(group)
    between = float((np.bincount(group, rest) ** 2 / sizes).sum())
    if len(values) > LARGE:
        free = len(values) - len(names) - len(levels) + 1
        within = max(float((rest**2).sum()) - between, 0.0)
        return float(special.fdtrc(len(names) - 1, free, between / (len(names) - 1) / (within / free))) if within else 0.0
    rng, sums = np.random.default_rng(SEED), np.zeros((FLIPS, len(names)))
    for level in range(len(levels)):
        here = stratum == level
        dealt = rng.permuted(np.tile(group[here].astype(np.int16), (FLIPS, 1)), axis=1)
        for name in range(len(names)):
            sums[:, name] += np.einsum("ru,u->r", dealt == name, rest[here])
    as_far = int(((sums**2 / sizes).sum(axis=1) >= between * (1 - 1e-9)).sum())  # sums in another order differ in their last digits
    return (as_far + 1) / (FLIPS + 1)


def t_interval(*, values: np.ndarray, confidence: float) -> tuple[float, float]:
    """(low, high) of the mean of two or more independent values, by Student's t."""
    mean, half = values.mean(), special.stdtrit(len(values) - 1, (1 + confidence) / 2) * standard_error(values)
    return float(mean - half), float(mean + half)


def standard_error(values: np.ndarray) -> float:
    """The standard error of the mean of two or more independent values, of shape (n,)."""
    return values.std(ddof=1) / np.sqrt(len(values))


def mean_intervals(*, columns: np.ndarray, confidence: float) -> list[tuple[float, float, float]]:
    """(mean, low, high) of each column of an array of shape (units, k), by one bootstrap over the units: paired columns stay paired.

    One unit alone resamples to itself: low = high. Raises ValueError where there is no unit.
    """
    ones = np.ones(len(columns))
    return [ratio_interval(numerators=column, denominators=ones, confidence=confidence) for column in np.asarray(columns).T]


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
        level = special.ndtr(np.sqrt(units / (units - 1)) * special.stdtrit(units - 1, level))
    low, high = np.quantile(resampled, [level, 1 - level])
    return float(low), float(high)


@lru_cache(maxsize=16)
def resamples(*, sizes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """How often each unit occurs in RESAMPLES resamples of one sample, or of several that are independent of each other, of these sizes.

    One array of shape (RESAMPLES, size) for each sample; the same for the same sizes. They are shared: do not write to them.
    """
    rng, found = np.random.default_rng([SEED, *sizes]), []
    for size in sizes:
        picked = rng.integers(0, size, size=(RESAMPLES, size)) + size * np.arange(RESAMPLES)[:, None]
        found.append(np.bincount(picked.ravel(), minlength=RESAMPLES * size).reshape(RESAMPLES, size).astype(float))
    return tuple(found)


def resampled_ratios(*samples: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """The ratios sum(values) / sum(weights) of RESAMPLES resamples of the units of each sample, each of shape (RESAMPLES, policies).

    A sample is (values of shape (units, policies), weights of shape (units,)). Resampling is by unit, so what all policies did
    with the same unit stays together; samples are independent of each other. More than LARGE units are not drawn one by one: their
    ratios are drawn from the normal distribution with the same means and covariances (delta method).
    """
    counts = iter(resamples(sizes=tuple(len(values) for values, _ in samples if len(values) <= LARGE)))
    return [
        _normal(values, weights, place) if len(values) > LARGE else _counted(values, weights, next(counts))
        for place, (values, weights) in enumerate(samples)
    ]


def _counted(values: np.ndarray, weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.einsum("ru,up->rp", counts, values) / np.einsum("ru,u->r", counts, weights)[:, None]  # the same bytes on any threads


def _normal(values: np.ndarray, weights: np.ndarray, place: int) -> np.ndarray:
    distinct, of = np.unique(values, axis=1, return_inverse=True)  # equal columns get equal draws, as they do from resampled units
    ratios = distinct.sum(axis=0) / weights.sum()
    influence = (distinct - ratios * weights[:, None]) / weights.mean()
    covariance = np.atleast_2d(np.cov(influence, rowvar=False)) / len(values)
    drawn = np.random.default_rng([SEED, place, *values.shape]).multivariate_normal(
        ratios, covariance, size=RESAMPLES, check_valid="ignore"
    )
    return drawn[:, of.ravel()]
