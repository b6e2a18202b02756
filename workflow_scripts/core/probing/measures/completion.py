"""The greedy completion against the target: verbatim, or nearly so (edit distance; the study's approximate memorization)."""

import pyarrow as pa
from rapidfuzz.distance import Levenshtein

from ..answer import BEYOND_TARGET

COLUMNS = {
    "target": pa.string(),
    "completion": pa.string(),
    "ended": pa.bool_(),
    "edit_distance": pa.int32(),
    "normalized_edit_distance": pa.float64(),
    "exact": pa.bool_(),
}
ROLES = ("canary",)


def measure(answer) -> dict:
    """`exact` is token for token; `ended` says that the policy closed the middle at the target's end or before."""
    target, completion = answer.target, answer.completion
    distance, normalized = edit_distance(completion, target)
    return dict(
        target=target,
        completion=completion,
        ended=answer.fim.ended(answer.completion_ids[: len(answer.target_ids) + BEYOND_TARGET]),
        edit_distance=distance,
        normalized_edit_distance=normalized,
        exact=answer.cut_ids == answer.target_ids,
    )


def edit_distance(completion: str, target: str) -> tuple[int, float]:
    """(Levenshtein distance in characters, the same / length of the longer text); both empty is an error.

    0.0 is verbatim and 1.0 shares nothing; the study calls a completion memorized at 0.1 and below.
    """
    longest = max(len(completion), len(target))
    if longest == 0:
        raise ValueError("completion and target are both empty: there is nothing to compare")
    distance = Levenshtein.distance(completion, target)
    return distance, distance / longest
