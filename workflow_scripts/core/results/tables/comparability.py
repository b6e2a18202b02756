"""Which policies have the same utility as the reference, so that their leakage can be compared: `report.utility_band` of the config.

A policy is comparable iff the point estimate of the band's measure lies in the band, ends included, and the policy has not collapsed.
Whether the data also *show* that it is in the band is stated separately: its whole interval has to lie in it, which is an equivalence
test by two one-sided tests (Schuirmann 1987) at half of 1 - confidence each. That is not the rule, since a small run would
then have nothing to compare; nor is it enough that the interval touches the band, since a policy could then become comparable by
being measured badly.
"""

import math

COLLAPSED, WORSE, BETTER = "collapsed", "worse than the band", "better than the band"


def limits(band: dict) -> tuple[float, float]:
    """(low, high): a ratio of `within` more or, on the same log scale, less than 1; a KL of at most `within`."""
    within = band["within"]
    return (1 / (1 + within), 1 + within) if band["measure"] == "perplexity_ratio" else (-math.inf, within)


def judge(*, band: dict, collapsed: bool, value: float, low: float, high: float) -> dict:
    """{comparable, reason (None where it is), equivalence_shown: whether the interval low to high lies in the band too}."""
    least, most = limits(band)
    reason = COLLAPSED if collapsed else WORSE if value > most else BETTER if value < least else None
    return dict(comparable=reason is None, reason=reason, equivalence_shown=reason is None and least <= low and high <= most)
