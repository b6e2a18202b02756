"""Intervals and tests for small counts: exact ones for rates, and for pairs that differ or not.

Canaries and held-out examples are the units that were drawn at random. Seeds and arms repeat a unit and add none, so every
interval is over units; repeats only make a unit's own value more exact. Intervals of means and ratios: resampling.py.
"""

from functools import lru_cache

import numpy as np

from .distributions import beta_quantile, coin_tail, f_tail, normal_probability, t_quantile

FLIPS = 9999  # random assignments of signs or groups: the smallest p is 1 / 10,000
LARGE = 500  # units beyond which large-sample formulas replace random draws
SEED = 0  # same rows, same p


@lru_cache(maxsize=10_000)
def clopper_pearson(*, hits: float, n: int, confidence: float) -> tuple[float, float]:
    """Exact interval (low, high) of a rate of `hits` in `n` units (Clopper and Pearson 1934), by quantiles of the beta distribution.

    `hits` may be fractional: the mean over seeds. 0 hits give low = 0, n hits high = 1. Raises ValueError where n is 0.
    """
    if n < 1 or not 0 <= hits <= n:
        raise ValueError(f"a rate needs 0 <= hits <= n and n >= 1, not {hits} of {n}")
    tail = (1 - confidence) / 2
    low = beta_quantile(tail, hits, n - hits + 1) if hits > 0 else 0.0
    high = beta_quantile(1 - tail, hits + 1, n - hits) if hits < n else 1.0
    return float(low), float(high)


def proportion(*, hits: int, n: int, units: int, confidence: float) -> tuple[float, float, float]:
    """(rate, low, high) of `hits` in `n` observations of `units` distinct units: the interval is that of rate x units in units.

    Several observations of a unit are not independent; counting them as n would make the interval too narrow.
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
    return 2 * float(coin_tail(fewer, fewer + more))


def sign_flip(*, differences: np.ndarray) -> float:
    """Two-sided p of paired `differences`, of shape (units,): how often random signs give a sum as far from 0 as theirs.

    Exact where all non-zero differences are of one size, which is McNemar's test, and where there are few; else of FLIPS random
    assignments, their own included (Phipson and Smyth 2010). Units without a difference do not matter.
    """
    sizes = np.abs(differences[differences != 0])
    if not len(sizes) or np.allclose(sizes, sizes[0], rtol=1e-9, atol=0):
        return mcnemar_exact(lost=int((differences < 0).sum()), gained=int((differences > 0).sum()))
    if len(sizes) > LARGE:
        return float(2 * normal_probability(-abs(differences.sum()) / np.sqrt((sizes**2).sum())))
    if exact := 2 ** len(sizes) <= FLIPS:
        negative = np.arange(2 ** len(sizes))[:, None] >> np.arange(len(sizes)) & 1
    else:
        negative = np.random.default_rng(SEED).integers(0, 2, size=(FLIPS, len(sizes)), dtype=np.int8)
    sums = np.abs((1.0 - 2.0 * negative) @ sizes)
    as_far = int((sums >= abs(differences.sum()) - 1e-9 * sizes.sum()).sum())  # sums in another order differ in their last digits
    return as_far / len(sums) if exact else (as_far + 1) / (FLIPS + 1)


def groups_differ(*, values: np.ndarray, groups: np.ndarray, strata: np.ndarray) -> float:
    """p of `values` (shape (units,)) having the same mean in all `groups`.

    It says how often groups dealt at random within each of `strata` differ as much, by the variance of their means (each stratum's
    own mean taken off first), in FLIPS random deals with the real one included (Phipson and Smyth 2010). 1.0 where there is one group,
    or where values differ within no stratum. For more than LARGE units it is that of the F distribution.
    """
    names, group = np.unique(groups, return_inverse=True)
    levels, stratum = np.unique(strata, return_inverse=True)
    residuals = values - (np.bincount(stratum, values) / np.bincount(stratum))[stratum]
    if len(names) < 2 or np.allclose(residuals, 0, atol=1e-12):
        return 1.0
    sizes = np.bincount(group)
    between = float((np.bincount(group, residuals) ** 2 / sizes).sum())
    if len(values) > LARGE:
        degrees = len(values) - len(names) - len(levels) + 1
        within = max(float((residuals**2).sum()) - between, 0.0)
        return float(f_tail(between / (len(names) - 1) / (within / degrees), len(names) - 1, degrees)) if within else 0.0
    sums = _dealt_sums(residuals, group, stratum)
    as_far = int(((sums**2 / sizes).sum(axis=1) >= between * (1 - 1e-9)).sum())  # sums in another order differ in their last digits
    return (as_far + 1) / (FLIPS + 1)


def _dealt_sums(residuals: np.ndarray, group: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Sum of the residuals of each group in each of FLIPS random deals within strata, of shape (FLIPS, groups)."""
    rng, sums = np.random.default_rng(SEED), np.zeros((FLIPS, group.max() + 1))
    for level in range(stratum.max() + 1):
        inside = stratum == level
        dealt = rng.permuted(np.tile(group[inside].astype(np.int16), (FLIPS, 1)), axis=1)
        for name in range(sums.shape[1]):
            sums[:, name] += np.einsum("ru,u->r", dealt == name, residuals[inside])
    return sums


def holm(p: list[float]) -> list[float]:
    """Each p corrected for all of them (Holm 1979): the k-th smallest of m times m - k + 1, never falling, at most 1."""
    order = np.argsort(p)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(np.asarray(p)[order] * np.arange(len(p), 0, -1)), 1.0)
    return corrected.tolist()


def share_difference_interval(*, differences: np.ndarray, confidence: float) -> tuple[float, float]:
    """Interval of the mean of paired differences of shares, of shape (units,), by Bonett and Price (2012).

    The differences lie in -1 .. 1 and are mostly 0. Too few of a sign are left to resample (at n = 64 a bootstrap may cover the truth
    in 85 % of samples), so the interval is Student's with two further units, one that differs each way. Where no unit differs, it
    ends at Clopper and Pearson's bound for the share of units that do.
    """
    if not differences.any():
        bound = clopper_pearson(hits=0, n=len(differences), confidence=confidence)[1]
        return -bound, bound
    low, high = t_interval(values=np.append(differences, [-1.0, 1.0]), confidence=confidence)
    return max(-1.0, low), min(1.0, high)


def t_interval(*, values: np.ndarray, confidence: float) -> tuple[float, float]:
    """(low, high) of the mean of two or more independent values, by Student's t."""
    mean, half = values.mean(), t_quantile((1 + confidence) / 2, len(values) - 1) * standard_error(values)
    return float(mean - half), float(mean + half)


def standard_error(values: np.ndarray) -> float:
    """The standard error of the mean of two or more independent values, of shape (n,)."""
    return values.std(ddof=1) / np.sqrt(len(values))
