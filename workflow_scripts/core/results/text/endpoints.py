"""What was declared before any result: the endpoints, what is corrected for what, and what the placebo shows."""

from ..tables.files import Tables
from ..tables.statistics import clopper_pearson
from .format import interval, percent

WORDS = {
    "memorized": "counterfactual extraction rate: the share of canaries memorized by the arm that saw them minus that by the arm that did not",
    "target_logprob": "counterfactual log-likelihood of the target, seen minus unseen, in nats per token",
    "exposure": "counterfactual exposure of the target, seen minus unseen, in bits",
}


def declared(*, tables: Tables, report: dict, seeds: int) -> str:
    """The endpoints of `report`, Holm's family, and what verdicts hold for, in a few sentences that no result changes."""
    endpoints = [f"({i}) {WORDS.get(measure, measure)}" for i, measure in enumerate(report["endpoints"], 1)]
    lead = "the co-primary endpoints are" if len(endpoints) > 1 else "the primary endpoint is"
    family = sum(row["p_holm"] is not None for row in tables["contrast"])
    scope = (
        "There is one seed: verdicts are about these checkpoints, since training noise is in no interval."
        if seeds == 1
        else f"Intervals are over canaries and {seeds} seeds."
    )
    return (
        f"Declared before any result: {lead} {'; '.join(endpoints)}; within strata of dose, half and type of secret. Holm's correction is over "
        f"their {family} contrasts on planted cohorts. Everything else is secondary and exploratory: an interval, and no verdict. {scope}"
    )


def placebo(*, tables: Tables, report: dict) -> tuple[bool, str]:
    """(whether no more contrasts on canaries that neither arm saw are significant than chance allows, a sentence); "" where there are none.

    The interval is Clopper and Pearson's; contrasts share canaries and policies, so the true one is wider.
    """
    rows, level = [row for row in tables["contrast"] if row["placebo"]], 1 - report["confidence"]
    if not rows:
        return True, ""
    significant = sum(row["p"] < level for row in rows)
    low, high = clopper_pearson(hits=significant, n=len(rows), confidence=report["confidence"])
    return low <= level, (
        f"of {len(rows)} contrasts on canaries that neither arm saw, {significant} ({percent(significant / len(rows))}, {interval(low, high)}) "
        f"{'has' if significant == 1 else 'have'} p < {level:g} before correction; chance alone gives about {percent(level)}."
    )
