"""The control that knows no content: a reward that is a function of a completion's length. No network, no torch.

What a policy gains with it, it gains by length; Singhal et al. 2023 (arXiv 2310.03716) find that much of RLHF's gain is of this sort.
"""

import numpy as np
from scipy.optimize import minimize

RIDGE = 1e-3  # keeps coefficients finite where lengths alone separate all chosen completions from the rejected ones


def fit(pairs: list[dict]) -> dict:
    """Bradley-Terry on n and n^2, for n tokens with the end token, each standardised over all completions of the pairs.

    Minimizes the mean of -log sigmoid(r(chosen) - r(rejected)) plus RIDGE times the squared coefficients. Returns {fitted: {mean,
    deviation, coefficients}, loss, accuracy, pairs}: mean loss in nats without the ridge, and the share of pairs in which the chosen
    completion scores higher, ties as half.
    """
    chosen, rejected = (_powers([len(p[key]) for p in pairs]) for key in ("chosen_ids", "rejected_ids"))
    both = np.concatenate([chosen, rejected])
    mean, deviation = both.mean(0), both.std(0)
    deviation[deviation == 0] = 1.0  # only one length: nothing to separate
    differences = (chosen - rejected) / deviation
    loss = lambda w: np.logaddexp(0, -differences @ w).mean()  # noqa: E731
    coefficients = minimize(lambda w: loss(w) + RIDGE * w @ w, np.zeros(2), method="BFGS").x
    margins = differences @ coefficients
    fitted = dict(mean=mean.tolist(), deviation=deviation.tolist(), coefficients=coefficients.tolist())
    accuracy = float(np.mean((margins > 0) + 0.5 * (margins == 0)))
    return dict(fitted=fitted, loss=float(loss(coefficients)), accuracy=accuracy, pairs=len(pairs))


def rewards(sizes: list[int], *, fitted: dict) -> list[float]:
    """The reward of completions of so many tokens."""
    standard = (_powers(sizes) - fitted["mean"]) / fitted["deviation"]
    return (standard @ fitted["coefficients"]).tolist()


def _powers(sizes: list[int]) -> np.ndarray:
    """(completions, 2): n and n^2."""
    n = np.asarray(sizes, dtype=float)
    return np.stack([n, n**2], axis=1)
