"""Can one tell from a score of the target which canaries were planted?

Members are compared with their own counterfactual twins (the same canaries in the arm that did not plant them) or with the unplanted
cohort of the same generator, never with ordinary code: canaries differ from code, planted or not.
"""

from collections.abc import Iterator

import numpy as np

from ...data.cohorts import UNPLANTED
from ...parquet import declare
from ...probing.prompts import NATIVE
from . import columns
from .auc import auc_columns, true_positives
from .canary_pairs import cells, pair_arms, seed_means
from .frames import Frame
from .statistics import clopper_pearson

TWINS = "twins"
LOGPROB = "logprob"  # target_logprob / target_tokens, nats per token
MEASURED = ("reference_ratio", "zlib_ratio", "min_k", "min_k_plus", "error_zone", "premia")  # columns of `extraction`, one measure each
SCORES = (LOGPROB, *MEASURED)
COLUMNS = ["target_logprob", "target_tokens", *MEASURED]
SCHEMA = declare(
    "membership",
    **columns.CELL,
    score=columns.TEXT,  # one of SCORES
    against=columns.TEXT,  # TWINS or UNPLANTED
    members=columns.COUNT,
    nonmembers=columns.COUNT,
    **columns.mean("auc"),
    fpr=columns.NUMBER,
    **columns.mean("tpr"),
    collapsed=columns.FLAG,
)


def summarize(*, extraction: Frame, utility: list[dict], fpr: float, confidence: float) -> list[dict]:
    """Rows of `membership`: each score, averaged over seeds to one value per canary and arm; canaries that have none have no row.

    Members are in their assigned arm, and so are the nonmembers `unplanted`, for which it is a placebo: a mean over both arms would
    spread less than members do. The unplanted cohort against its twins has an AUC of 0.5 within its interval.
    """
    scored = extraction[extraction["probe"] == NATIVE]
    scored = scored.assign(logprob=scored["target_logprob"] / scored["target_tokens"], zlib_ratio=-scored["zlib_ratio"])  # high: planted
    return [
        dict(**about, score=score, **row)
        for score in SCORES
        for about, row in _rows(scored[scored[score].notna()], utility, score, fpr, confidence)
    ]


def _rows(scored: Frame, utility: list[dict], score: str, fpr: float, confidence: float) -> Iterator[tuple[dict, dict]]:
    """(cell, separation) of each cell against its twins, and against the unplanted canaries."""
    pairs = pair_arms(extraction=scored, measures=[score])
    is_unplanted = pairs["cohort"] == UNPLANTED
    unplanted = {policy: seed_means(part, score)[:, 0] for policy, part in pairs[is_unplanted].groupby("policy", observed=True)}
    for about, cell in cells(pairs=pairs, utility=utility):
        members, twins = seed_means(cell, score, f"control_{score}").T
        yield about, dict(against=TWINS, **_separation(members, twins, True, fpr, confidence))
        if about["cohort"] != UNPLANTED and about["policy"] in unplanted:
            yield about, dict(against=UNPLANTED, **_separation(members, unplanted[about["policy"]], False, fpr, confidence))


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
