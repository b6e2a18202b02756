"""Can one tell from the target's log-probability which canaries were planted?

Members are compared with their own counterfactual twins (the same canaries in the arm that did not plant them) or with the unplanted
cohort of the same generator, never with ordinary code: canaries differ from code, planted or not.
"""

import numpy as np

from ...data.cohorts import UNPLANTED
from ...parquet import declare
from . import columns
from .auc import auc_columns, true_positives
from .canary_pairs import cells, pair_arms, seed_means
from .frames import Frame
from .presentations import Shown
from .statistics import clopper_pearson

TWINS = "twins"
COLUMNS = ["target_logprob", "target_tokens"]
SCHEMA = declare(
    "membership",
    **columns.CELL,
    against=columns.TEXT,  # TWINS or UNPLANTED
    members=columns.COUNT,
    nonmembers=columns.COUNT,
    **columns.mean("auc"),
    fpr=columns.NUMBER,
    **columns.mean("tpr"),
    collapsed=columns.FLAG,
)


def summarize(*, extraction: Frame, utility: list[dict], shown: Shown, fpr: float, confidence: float) -> list[dict]:
    """Rows of `membership`, by the score target_logprob / target_tokens, averaged over seeds: one score per canary and arm.

    Members are in their assigned arm, and so are the nonmembers `unplanted`, for which it is a placebo: a mean over both arms would
    spread less than members do. The unplanted cohort against its twins has an AUC of 0.5 within its interval.
    """
    pairs = pair_arms(extraction=extraction, measures=COLUMNS)
    for arm in ("", "control_"):
        pairs[f"{arm}score"] = pairs[f"{arm}target_logprob"] / pairs[f"{arm}target_tokens"]
    is_unplanted = pairs["cohort"] == UNPLANTED
    unplanted = {policy: seed_means(part, "score")[:, 0] for policy, part in pairs[is_unplanted].groupby("policy", observed=True)}
    rows = []
    for about, cell in cells(pairs=pairs, utility=utility, shown=shown):
        members, twins = seed_means(cell, "score", "control_score").T
        rows.append(dict(**about, against=TWINS, **_separation(members, twins, True, fpr, confidence)))
        if about["cohort"] != UNPLANTED and about["policy"] in unplanted:
            others = unplanted[about["policy"]]
            rows.append(dict(**about, against=UNPLANTED, **_separation(members, others, False, fpr, confidence)))
    return rows


def _separation(members: np.ndarray, nonmembers: np.ndarray, paired: bool, fpr: float, confidence: float) -> dict:
    """Counts, AUC and TPR with their intervals."""
    hits = true_positives(members=members, nonmembers=nonmembers, fpr=fpr)
    low, high = clopper_pearson(hits=hits, n=len(members), confidence=confidence)
    return dict(
        members=len(members),
        nonmembers=len(nonmembers),
        **auc_columns(members=members, nonmembers=nonmembers, paired=paired, confidence=confidence),
        fpr=fpr,
        tpr=hits / len(members),
        tpr_low=low,
        tpr_high=high,
    )
