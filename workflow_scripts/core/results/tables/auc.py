"""How well a score separates members from nonmembers: AUC with its interval, and true positives at a false positive rate."""

import numpy as np

from .distributions import t_quantile
from .resampling import expanded, resamples
from .statistics import LARGE, clopper_pearson, standard_error


def auc_columns(*, members: np.ndarray, nonmembers: np.ndarray, paired: bool, confidence: float) -> dict:
    """auc, auc_low and auc_high of a row."""
    low, high = auc_interval(members=members, nonmembers=nonmembers, paired=paired, confidence=confidence)
    return dict(auc=auc(members=members, nonmembers=nonmembers), auc_low=low, auc_high=high)


def auc(*, members: np.ndarray, nonmembers: np.ndarray) -> float:
    """The probability that a random member scores above a random nonmember, ties counted half (Mann-Whitney U / mn); 0.5 tells nothing."""
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
    half = t_quantile((1 + confidence) / 2, min(len(won), len(lost)) - 1) * error
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
