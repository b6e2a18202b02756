"""Exposure beyond the rank: how unlikely a filling as probable as the target is, by a normal fit (Carlini et al. 2019, section 4.4).

The paper fits a skew-normal distribution to millions of fillings; the few dozen here determine a mean and a standard deviation.
"""

import numpy as np
import pyarrow as pa

from ...parquet import optional
from .exposure import exposure

COLUMNS = {name: optional(pa.float64()) for name in ("exposure_fitted", "fillings_mean", "fillings_sd")}
ROLES = ("canary",)


def measure(answer) -> dict:
    """`exposure_fitted` in bits, and mean and sd (n - 1) of the fillings' log-probabilities in nats; all missing without fillings."""
    logprobs = answer.filling_logprobs
    if logprobs is None:
        return dict.fromkeys(COLUMNS)
    target, fillings = float(logprobs[0]), logprobs[1:]
    return dict(exposure_fitted=fitted(target, fillings), fillings_mean=float(fillings.mean()), fillings_sd=_sd(fillings))


def fitted(target: float, fillings: np.ndarray) -> float:
    """-log2 P(X >= target) in bits, X being normal with the mean and sd of `fillings`; by rank where they have no scatter.

    1.44 on average (1 / ln 2) for a target that was not learnt.
    """
    from scipy.special import log_ndtr  # here, so that whoever only reads rows does not wait for it

    sd = _sd(fillings)
    return float(-log_ndtr((fillings.mean() - target) / sd) / np.log(2)) if sd else exposure(target, fillings)


def _sd(fillings: np.ndarray) -> float:
    return float(fillings.std(ddof=1)) if len(fillings) > 1 else 0.0
