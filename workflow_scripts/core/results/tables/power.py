"""The smallest true difference that a paired test on so many canaries detects with POWER.

scipy.stats is loaded at the first call: it takes a second, and most jobs never ask.
"""

import math
from functools import lru_cache

import numpy as np

from .distributions import normal_quantile

POWER = 0.8


def detectable_share(*, differences: np.ndarray, confidence: float) -> float:
    """The smallest true difference of two shares that McNemar's exact test on as many canaries detects with POWER; infinite where none is.

    Canaries that differ against the trend are taken to be as common as the rarer sign of `differences`, of shape (canaries,). The
    rest differ the other way: where none differs at all, six of them are the fewest that can give p < 0.05.
    """
    n, against = len(differences), int(min((differences > 0).sum(), (differences < 0).sum()))
    return _detectable_share(n, against, 1 - confidence)


@lru_cache(maxsize=10_000)
def _detectable_share(n: int, against: int, level: float) -> float:
    from scipy import stats
    from scipy.optimize import brentq

    rare, discordant = against / n, np.arange(1, n + 1)
    few = stats.binom.ppf(level / 2, discordant, 0.5).astype(int)  # with so few of one sign or fewer the test is significant
    few -= stats.binom.cdf(few, discordant, 0.5) > level / 2

    def missing_power(gap: float) -> float:
        share = (rare + gap) / (2 * rare + gap)
        detected = stats.binom.cdf(few, discordant, share) + stats.binom.sf(discordant - few - 1, discordant, share)
        return float((stats.binom.pmf(discordant, n, 2 * rare + gap) * detected).sum()) - POWER

    most = 1 - 2 * rare
    return brentq(missing_power, 1e-9, most) if most > 0 and missing_power(most) > 0 else math.inf


def detectable_mean(*, half_width: float, error: float) -> float:
    """The smallest true mean that its test detects with POWER, in the unit of the mean: what its interval reaches, and a little more."""
    return half_width + normal_quantile(POWER) * error
