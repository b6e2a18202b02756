"""Can one tell from a score which canaries were planted? Rows of `membership` and `reward_gap`.

Members are compared with their own counterfactual twins (the same canaries in the arm that did not plant them) or with the held-out
cohort of the same generator, never with ordinary code: canaries differ from code, planted or not.
"""

import numpy as np
import pandas as pd
from scipy import special

from .pairs import averaged, by_cohort, by_dose, cells, compared, twins
from .statistics import LARGE, clopper_pearson, expanded, resamples, standard_error

TWINS, UNPLANTED = "twins", "unplanted"
SCORED, REWARDED = ["target_logprob", "target_tokens"], ["reward"]  # what the two tables read


def membership(*, extraction: pd.DataFrame, utility: list[dict], fpr: float, confidence: float) -> list[dict]:
    """Rows of `membership`, by the score target_logprob / target_tokens, averaged over seeds: one score per canary and arm.

    Members are in their assigned arm, and so are the nonmembers `unplanted`, for which it is a placebo: a mean over both arms would
    spread less than members do. The unplanted cohort against its twins has an AUC of 0.5 within its interval.
    """
    pairs = twins(extraction=extraction, measures=SCORED)
    for arm in ("", "control_"):
        pairs[f"{arm}score"] = pairs[f"{arm}target_logprob"] / pairs[f"{arm}target_tokens"]
    unplanted = {
        policy: averaged(found, "score")[:, 0] for policy, found in pairs[pairs["cohort"] == UNPLANTED].groupby("policy", observed=True)
    }
    rows = []
    for about, cell in cells(pairs=pairs, utility=utility):
        members, control = averaged(cell, "score", "control_score").T
        rows.append(dict(**about, against=TWINS, **_told_apart(members, control, True, fpr, confidence)))
        if about["cohort"] != UNPLANTED and about["policy"] in unplanted:
            rows.append(dict(**about, against=UNPLANTED, **_told_apart(members, unplanted[about["policy"]], False, fpr, confidence)))
    return rows


def reward_gap(*, extraction: pd.DataFrame, confidence: float) -> list[dict]:
    """Rows of `reward_gap`: the reward of the target by the arm whose reward model's chain planted the canary, and by the other.

    Both give it to the same text, so any policy's rows will do: `extraction` is of one policy.
    """
    pairs = twins(extraction=extraction, measures=REWARDED)
    rows = []
    for cohort, found in by_cohort(pairs):
        for dose, cell in by_dose(found):
            members, control = averaged(cell, "reward", "control_reward").T
            area = _auc(members, control, True, confidence)
            rows.append(
                dict(cohort=cohort, dose=dose, n=len(cell), **compared(pairs=cell, measure="reward", confidence=confidence), **area)
            )
    return rows


def _told_apart(members: np.ndarray, nonmembers: np.ndarray, paired: bool, fpr: float, confidence: float) -> dict:
    """Counts, AUC and TPR with their intervals."""
    hits = true_positives(members=members, nonmembers=nonmembers, fpr=fpr)
    low, high = clopper_pearson(hits=hits, n=len(members), confidence=confidence)
    counts = dict(members=len(members), nonmembers=len(nonmembers))
    return {
        **counts,
        **_auc(members, nonmembers, paired, confidence),
        "fpr": fpr,
        "tpr": hits / len(members),
        "tpr_low": low,
        "tpr_high": high,
    }


def _auc(members: np.ndarray, nonmembers: np.ndarray, paired: bool, confidence: float) -> dict:
    low, high = auc_interval(members=members, nonmembers=nonmembers, paired=paired, confidence=confidence)
    return dict(auc=auc(members=members, nonmembers=nonmembers), auc_low=low, auc_high=high)


def auc(*, members: np.ndarray, nonmembers: np.ndarray) -> float:
    """The chance that a random member scores above a random nonmember, ties counted half (Mann-Whitney U / mn); 0.5 tells nothing."""
    return float(_beaten(members, nonmembers).sum() / (len(members) * len(nonmembers)))


def auc_interval(*, members: np.ndarray, nonmembers: np.ndarray, paired: bool, confidence: float) -> tuple[float, float]:
    """Bootstrap interval of the AUC over canaries: `paired` ones take their twin along, others are resampled independently.

    Where the two groups are wholly apart, resampling shows no other value: the interval then ends at Clopper and Pearson's bound for
    min(m, n) pairs of which all are won (exact unless the two scores of a canary pull against each other).
    """
    m, n = len(members), len(nonmembers)
    if (value := auc(members=members, nonmembers=nonmembers)) in (0.0, 1.0):
        return clopper_pearson(hits=value * min(m, n), n=min(m, n), confidence=confidence)
    if max(m, n) > LARGE:
        return _delong(members, nonmembers, paired, confidence)
    won = np.greater.outer(members, nonmembers) + np.equal.outer(members, nonmembers) / 2  # of shape (m, n)
    counts = resamples(sizes=(m,) if paired else (m, n))
    resampled = ((counts[0] @ won) * counts[-1]).sum(axis=1) / (m * n)
    return expanded(resampled=resampled, units=min(m, n), confidence=confidence)


def _delong(members: np.ndarray, nonmembers: np.ndarray, paired: bool, confidence: float) -> tuple[float, float]:
    """Interval of the AUC of many canaries, by the share of the other group that each beats (DeLong et al. 1988)."""
    won, lost = _beaten(members, nonmembers) / len(nonmembers), 1 - _beaten(nonmembers, members) / len(members)
    error = standard_error(won + lost) if paired else np.hypot(standard_error(won), standard_error(lost))
    half = special.stdtrit(min(len(won), len(lost)) - 1, (1 + confidence) / 2) * error
    return float(max(0.0, won.mean() - half)), float(min(1.0, won.mean() + half))


def _beaten(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How many of the others lie below each score, ties counted half."""
    rising = np.sort(others)
    return (np.searchsorted(rising, scores, "left") + np.searchsorted(rising, scores, "right")) / 2


def true_positives(*, members: np.ndarray, nonmembers: np.ndarray, fpr: float) -> int:
    """Members above the lowest threshold that at most a share `fpr` of the nonmembers exceeds.

    Above means strictly above, for both, so a member that ties with the threshold is no hit. floor(fpr x n) nonmembers may exceed it: with
    fewer than 1 / fpr of them none may, and the threshold is the highest nonmember.
    """
    allowed = int(fpr * len(nonmembers) + 1e-9)  # 0.29 x 100 is 28.999...
    highest = np.sort(nonmembers)[::-1]
    return int((members > highest[allowed]).sum()) if allowed < len(highest) else len(members)
