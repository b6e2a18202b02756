"""Means and rates over canaries: intervals and tests that know the design.

Canaries are drawn within strata (cohort x dose x half x type of secret), so what strata differ by is no noise: variances are within
strata. Seeds are crossed with canaries: every canary is measured under each seed. With several seeds the variance is that of the
canaries plus that of the seeds' means, so the interval holds for other canaries *and* other training runs; with one seed it holds for
these checkpoints. The critical value is that of Cochran and Cox (1950, Experimental Designs, 4.14), each variance's own quantile of
Student's t weighted by the variance: with Satterthwaite's degrees of freedom, and with any bootstrap over seeds, intervals of 2 or 3
seeds cover too little (docs/metrics.md has the simulation).

Every function takes values of shape (..., canaries, seeds), and one stratum per canary.
"""

from typing import NamedTuple

import numpy as np

from .distributions import t_quantile
from .statistics import clopper_pearson

_LEAST = 1e-15  # the smallest p
_ROUNDING = 1e-12  # values nearer to 0 are sums in another order
_HALVINGS = 60  # of the interval in which p is sought, on a log scale


class Estimate(NamedTuple):
    """A mean, its interval, two-sided p of a true mean of 0, and standard error; the interval leaves 0 out iff p < 1 - confidence."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    error: np.ndarray


class _Variance(NamedTuple):
    """The variance of a mean, by source, with degrees of freedom."""

    canaries: np.ndarray
    canary_degrees: np.ndarray
    seeds: np.ndarray
    seed_degrees: int

    @property
    def error(self) -> np.ndarray:
        return np.sqrt(self.canaries + self.seeds)

    def half_width(self, level: np.ndarray | float) -> np.ndarray:
        """Half the interval that leaves out `level`, by Cochran and Cox; 0 where nothing varies."""
        weighted = self.canaries * -t_quantile(level / 2, self.canary_degrees) + self.seeds * -t_quantile(level / 2, self.seed_degrees)
        return np.divide(weighted, self.error, out=np.zeros_like(weighted), where=self.error > 0)


def strata(*factors) -> np.ndarray:
    """The stratum of each canary, numbered from 0, by `factors`: one array of shape (canaries,) each, the most important first.

    A stratum of one canary shows no scatter: factors count only up to the first that would leave one.
    """
    stratum = np.zeros(len(factors[0]), dtype=int)
    for factor in factors:
        values, codes = np.unique(factor, return_inverse=True)
        _, finer, sizes = np.unique(stratum * len(values) + codes, return_inverse=True, return_counts=True)
        if sizes.min() == 1:
            break
        stratum = finer
    return stratum


def mean(*, values: np.ndarray, strata: np.ndarray, confidence: float, bound: float | None = None) -> Estimate:
    """The mean of `values`.

    `bound` is for values that are mostly 0 and lie in -bound .. bound, such as differences of shares, whose scatter too few canaries
    show: as Bonett and Price (2012) do for one stratum, two further units are added, one at each bound; where all values are 0 the
    interval ends at Clopper and Pearson's bound. One canary alone has an infinite interval (ends at `bound`). Raises ValueError
    where there is none.
    """
    if not (n := values.shape[-2]):
        raise ValueError("an interval over no canaries does not exist")
    limit, values = np.inf if bound is None else bound, np.where(np.abs(values) < _ROUNDING, 0.0, values)
    value = values.mean(axis=(-2, -1))
    if n == 1:
        return Estimate(value, np.full_like(value, -limit), np.full_like(value, limit), np.ones_like(value), np.full_like(value, limit))
    variance, center = _variance(values, strata), value
    if bound is not None:
        variance, center = _with_two_more(variance, n, n - strata.max() - 1, bound), value * n / (n + 2)
    half = variance.half_width(1 - confidence)
    low, high = np.maximum(center - half, -limit), np.minimum(center + half, limit)
    p = _p(variance, np.abs(center))
    if bound is not None and (none := ~values.any(axis=(-2, -1))).any():
        end = bound * clopper_pearson(hits=0, n=n, confidence=confidence)[1]
        low, high = np.where(none, -end, low), np.where(none, end, high)
    return Estimate(value, low, high, p, variance.error)


def rate(*, hits: np.ndarray, of: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rate, low, high) of `hits` among `of`, both booleans of shape (..., canaries, seeds); every last two axes need one of `of`.

    With one seed Clopper and Pearson's exact interval over the distinct canaries in `of`. With several it is theirs for an effective
    number of canaries (Korn and Graubard 1998), with which their interval is as wide as one that has the variance of the seeds too.
    """
    units, found = of.any(axis=-1).sum(axis=-1).astype(float), (hits & of).sum(axis=(-2, -1)) / of.sum(axis=(-2, -1))
    effective, seeds = units, hits.shape[-1]
    if seeds > 1:
        of_seeds = ratio_values(hits & of, of).mean(axis=-2).var(axis=-1, ddof=1) / seeds
        binomial = _Variance(found * (1 - found) / units, np.maximum(units - 1, 1), np.zeros_like(found), seeds - 1)
        alone, half = binomial.half_width(1 - confidence), binomial._replace(seeds=of_seeds).half_width(1 - confidence)
        effective = np.maximum(units * np.divide(alone, half, out=np.ones_like(half), where=half > 0) ** 2, 1)
    ends = [clopper_pearson(hits=float(r * n), n=float(n), confidence=confidence) for r, n in np.broadcast(found, effective)]
    low, high = np.array(ends).T.reshape(2, *np.shape(found))
    return found, low, high


def ratio_values(tops: np.ndarray, bottoms: np.ndarray) -> np.ndarray:
    """Values whose mean is sum(tops) / sum(bottoms) and whose scatter is that ratio's (delta method)."""
    axes = dict(axis=(-2, -1), keepdims=True)
    ratio = tops.sum(**axes) / bottoms.sum(**axes)
    return ratio + (tops - ratio * bottoms) / bottoms.mean(**axes)


def _variance(values: np.ndarray, strata: np.ndarray) -> _Variance:
    """Of the mean over two or more canaries; no stratum has one canary alone."""
    n, seeds = values.shape[-2:]
    sizes, means, order = np.bincount(strata), values.mean(axis=-1), np.argsort(strata, kind="stable")
    sums = lambda x: np.add.reduceat(x[..., order], np.cumsum(sizes) - sizes, axis=-1)  # noqa: E731
    squares = sums((means - (sums(means) / sizes)[..., strata]) ** 2) * sizes / (sizes - 1)
    total = squares.sum(axis=-1)
    degrees = np.divide(total**2, (squares**2 / (sizes - 1)).sum(axis=-1), out=np.ones_like(total), where=total > 0)
    of_seeds = values.mean(axis=-2).var(axis=-1, ddof=1) / seeds if seeds > 1 else np.zeros_like(total)
    return _Variance(total / n**2, degrees, of_seeds, max(1, seeds - 1))


def _with_two_more(variance: _Variance, n: int, degrees: int, bound: float) -> _Variance:
    """The variance with two units at -bound and bound beside the n canaries; they have the `degrees` of all strata together."""
    total, two = variance.canaries * n**2, 2 * bound**2
    all_degrees = (total + two) ** 2 / (total**2 / variance.canary_degrees + two**2 / degrees)
    return _Variance((total + two) / (n + 2) ** 2, all_degrees, variance.seeds * n**2 / (n + 2) ** 2, variance.seed_degrees)


def _p(variance: _Variance, distance: np.ndarray) -> np.ndarray:
    """The level at which half the interval is `distance`, by bisection; 1 where the distance is 0."""
    low, high = np.full_like(distance, np.log(_LEAST)), np.zeros_like(distance)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_wide = variance.half_width(np.exp(middle)) > distance
        low, high = np.where(is_wide, middle, low), np.where(is_wide, high, middle)
    return np.where(distance == 0, 1.0, np.exp(high))
