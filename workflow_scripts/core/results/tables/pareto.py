"""Pareto fronts: which policies no other one beats in both of two costs. Arrays in, arrays out."""

import numpy as np

_DIGITS = 12  # sums in another order differ in their last digits; a tie has to stay one


def is_on_front(costs: np.ndarray) -> np.ndarray:
    """Bools of shape (..., policies) for `costs` of shape (..., policies, 2), of which less is better.

    A policy is beaten by one that is nowhere worse and somewhere better, so policies that tie in both costs are all on the front.
    """
    costs = np.round(costs, _DIGITS)
    own, other = costs[..., :, None, :], costs[..., None, :, :]
    return ~((other <= own).all(axis=-1) & (other < own).any(axis=-1)).any(axis=-1)
