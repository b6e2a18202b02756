"""Min-K%++ (Zhang et al. 2025, arXiv 2404.02936): Min-K% of log-probabilities that are normalized at each place of the target."""

import numpy as np
import pyarrow as pa

from .min_k import mean_of_lowest

ROUNDING = 1e-9  # a standard deviation in nats below which all tokens of the vocabulary are equally likely
COLUMNS = {"min_k_plus": pa.float64()}
ROLES = ("canary",)


def measure(answer) -> dict:
    """`min_k_plus`: mean of the lowest K of `normalized`, in standard deviations."""
    return dict(min_k_plus=mean_of_lowest(normalized(answer.target_logprobs, answer.logprobs)))


def normalized(target: np.ndarray, logprobs: np.ndarray) -> np.ndarray:
    """(places,): log p of the target's tokens less the mean, over the standard deviation, of log p of a token drawn from p.

    `logprobs` are (places, vocabulary). 0 where all tokens are equally likely.
    """
    p = np.exp(logprobs)
    mean = (p * logprobs).sum(axis=1)
    sd = np.sqrt((p * (logprobs - mean[:, None]) ** 2).sum(axis=1))
    return np.where(sd > ROUNDING, (target - mean) / np.maximum(sd, ROUNDING), 0.0)
