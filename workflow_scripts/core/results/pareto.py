"""Pareto fronts: which policies no other one beats in both of two costs, and how sure that is. Arrays in, arrays out."""

import numpy as np

from .statistics import LARGE, RESAMPLES, SEED, resamples

_DIGITS = 12  # sums in another order differ in their last digits; a tie has to stay one


def is_on_front(costs: np.ndarray) -> np.ndarray:
    """Bools of shape (..., policies) for `costs` of shape (..., policies, 2), of which less is better.

    A policy is beaten by one that is nowhere worse and somewhere better, so policies that tie in both costs are all on the front.
    """
    costs = np.round(costs, _DIGITS)
    own, other = costs[..., :, None, :], costs[..., None, :, :]
    return ~((other <= own).all(axis=-1) & (other < own).any(axis=-1)).any(axis=-1)


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
    ratios = values.sum(axis=0) / weights.sum()
    influence = (values - ratios * weights[:, None]) / weights.mean()
    covariance = np.atleast_2d(np.cov(influence, rowvar=False)) / len(values)
    return np.random.default_rng([SEED, place, *values.shape]).multivariate_normal(ratios, covariance, size=RESAMPLES, check_valid="ignore")
