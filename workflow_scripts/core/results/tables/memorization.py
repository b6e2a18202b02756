"""What of the canaries comes back by greedy decoding, under every prompt condition.

Every count is of pairs, canary x seed (canary_pairs.py), but seeds repeat canaries and add none (stratified.rate). No other table reads
other probes than NATIVE.
"""

from ...parquet import declare
from ...probing.prompts import NATIVE, PROMPTS
from . import columns
from .canary_pairs import cells, counterfactual, hit_rate, pair_arms, share_difference
from .frames import Frame
from .presentations import Shown

COLUMNS = ["memorized"]
SCHEMA = declare(
    "memorization",
    policy=columns.TEXT,
    cohort=columns.TEXT,
    probe=columns.TEXT,  # the prompt condition
    dose=columns.DOSE,
    presentations=columns.PRESENTATIONS,
    n=columns.COUNT,
    **columns.rate(),
    **columns.rate("control_"),
    **columns.rate("counterfactual_"),
    **columns.mean("difference"),  # rate - control_rate
    collapsed=columns.FLAG,
)


def summarize(*, extraction: Frame, utility: list[dict], shown: Shown, confidence: float) -> list[dict]:
    """Rows of `memorization`: policy x probe x cohort x dose, and over all doses (dose None).

    Counterfactual = memorized by the arm that saw the canary and not by the other (arXiv 2112.12938); `difference`, the endpoint, also
    takes off what the other arm alone memorizes. Policies are in the order of
    `utility`, whose `collapsed` they take over, probes in that of PROMPTS.
    """
    pairs = pair_arms(extraction=extraction, measures=COLUMNS, probe=None)
    pairs = pairs.assign(counterfactual_memorized=counterfactual(pairs))
    parts = dict(iter(pairs.groupby("probe", observed=True)))
    return [
        dict(**about, probe=probe, **_rates(cell, confidence))
        for policy in utility
        for probe in PROMPTS
        if probe in parts
        for about, cell in cells(pairs=parts[probe], utility=[policy], shown=shown)
    ]


def _rates(pairs: Frame, confidence: float) -> dict:
    """n; hits, rate and interval of the assigned arm, of the control, and of the counterfactual; and the difference of the arms."""
    row = {"n": len(pairs)}
    for prefix in ("", "control_", "counterfactual_"):
        row |= hit_rate(pairs=pairs, is_hit=pairs[f"{prefix}memorized"], prefix=prefix, confidence=confidence)
    return row | share_difference(pairs=pairs, confidence=confidence)


def overall(rows: list[dict]) -> list[dict]:
    """Of the rows of `memorization` those over all doses, of canaries as planted."""
    return [row for row in rows if row["dose"] is None and row["probe"] == NATIVE]


def measured(utility: list[dict], rows: list[dict]) -> list[dict]:
    """The rows of `utility` of the policies that `rows` of `memorization` has: all but those with one arm alone."""
    present = {row["policy"] for row in rows}
    return [used for used in utility if used["policy"] in present]
