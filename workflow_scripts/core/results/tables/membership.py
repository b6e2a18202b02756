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
from .presentations import Shown
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


def summarize(*, extraction: Frame, utility: list[dict], shown: Shown, fpr: float, confidence: float) -> list[dict]:
    """Rows of `membership`: each score, averaged over seeds to one value per canary and arm; canaries that have none have no row.

    Members are in their assigned arm, and so are the nonmembers `unplanted`, for which it is a placebo: a mean over both arms would
    spread less than members do. The unplanted cohort against its twins has an AUC of 0.5 within its interval.
    """
    scored = extraction[extraction["probe"] == NATIVE]
    scored = scored.assign(logprob=scored["target_logprob"] / scored["target_tokens"], zlib_ratio=-scored["zlib_ratio"])  # high: planted
    everywhere = [score for score in SCORES if scored[score].notna().all()]
    groups = [everywhere, *([score] for score in SCORES if score not in everywhere and scored[score].notna().any())]
    return [
        row
        for scores in groups
        for row in _rows(scored[scored[scores].notna().all(axis=1)], scores, utility, shown, fpr=fpr, confidence=confidence)
    ]


def _rows(scored: Frame, scores: list[str], utility: list[dict], shown: Shown, **options) -> Iterator[dict]:
    """Rows of scores that the same canaries have: each against the twins, and against the unplanted canaries."""
    pairs = pair_arms(extraction=scored, measures=scores)
    outside = pairs[pairs["cohort"] == UNPLANTED].groupby("policy", observed=True)
    unplanted = {policy: seed_means(part, *scores).T for policy, part in outside}
    for about, cell in cells(pairs=pairs, utility=utility, shown=shown):
        planted, twins = (seed_means(cell, *(f"{arm}{score}" for score in scores)).T for arm in ("", "control_"))
        others = None if about["cohort"] == UNPLANTED else unplanted.get(about["policy"])
        for i, score in enumerate(scores):
            named = dict(**about, score=score)
            yield dict(**named, against=TWINS, **_separation(planted[i], twins[i], True, **options))
            if others is not None:
                yield dict(**named, against=UNPLANTED, **_separation(planted[i], others[i], False, **options))


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
