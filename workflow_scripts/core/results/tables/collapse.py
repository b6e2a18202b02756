"""By what a policy no longer works: all of utility against the reference policy, with the limits that the config declares.

A policy that has become worse at code in general says nothing about what it memorized. Perplexity alone misses the one that stops early,
never stops, or writes what does not parse.
"""

MEASURES = {  # limit in report.collapse_limits -> (columns of `utility` that it is about, its name in words)
    "perplexity_ratio": ("perplexity_ratio", "perplexity"),
    "length_ratio": ("sampled_tokens", "length"),
    "ended_drop": ("sampled_ended", "share ended"),
    "parses_drop": ("sampled_parses", "share that parses"),
    "reward_drop": ("sampled_reward", "reward"),
}


def reasons(*, row: dict, reference: dict, limits: dict[str, float]) -> str | None:
    """Names of what is beyond its limit in a row of `utility`, joined by commas; None where nothing is, and for the reference itself.

    Ratios are of the estimates (length in both directions), drops the reference's less the policy's; the reward's is in standard
    deviations of the reference's rewards. A limit of None is not looked at, nor is what could not be measured.
    """
    beyond = [
        words for limit, (column, words) in MEASURES.items() if _excess(limit, column, row, reference) > (limits[limit] or float("inf"))
    ]
    return ", ".join(beyond) or None


def _excess(limit: str, column: str, row: dict, reference: dict) -> float:
    """How far a row is from the reference, in the unit of the limit."""
    own, other = row[column], reference[column]
    if own is None or other is None:
        return 0.0
    if limit == "perplexity_ratio":
        return own
    if limit == "length_ratio":
        return max(own / other, other / own) if own and other else float("inf") if own != other else 1.0
    if limit == "reward_drop":
        return (other - own) / reference["reward_sd"] if reference["reward_sd"] else 0.0
    return other - own
