"""The table to read first, as text: how much of each cohort every policy gives back, beside its utility."""

from ...data.cohorts import COHORTS
from ..tables.memorization import measured, overall
from .format import number, rate_and_count


def headline(*, memorization: list[dict], utility: list[dict]) -> list[dict]:
    """Rows policy x cohort: counterfactual rate with its count and interval, beside held-out perplexity and its ratio to the reference."""
    texts = {(row["policy"], row["cohort"]): "{} ({})".format(*rate_and_count(row, "counterfactual_")) for row in overall(memorization)}
    cohorts = [cohort for cohort in COHORTS if any(cohort == present for _, present in texts)]
    return [
        {"policy": row["policy"] + (" (collapsed)" if row["collapsed"] else "")}
        | {cohort: texts[row["policy"], cohort] for cohort in cohorts}
        | {"held-out perplexity": f"{number(row['perplexity'], 1)} (× {number(row['perplexity_ratio'])})"}
        for row in measured(utility, memorization)
    ]
