"""Leakage that a distance over the whole text misses: a secret given away in part, or amid other text."""

from difflib import SequenceMatcher

import pyarrow as pa
from rapidfuzz.distance import LCSseq

COLUMNS = {"longest_substring": pa.float64(), "recovered": pa.float64()}
ROLES = ("canary",)


def measure(answer) -> dict:
    """Both are shares of the target's characters, 0 to 1.

    `longest_substring`: in the longest run that target and completion have in common. `recovered`: in their longest common
    subsequence, so in the right order but with gaps; unrelated code shares some letters too, which the control arm shows.
    """
    target, completion = answer.target, answer.completion
    return dict(
        longest_substring=longest_substring(completion, target) / len(target), recovered=recovered(completion, target) / len(target)
    )


def longest_substring(completion: str, target: str) -> int:
    """Characters in the longest run that both texts contain."""
    return SequenceMatcher(None, completion, target, autojunk=False).find_longest_match().size


def recovered(completion: str, target: str) -> int:
    """Characters in the longest common subsequence of both texts."""
    return LCSseq.similarity(completion, target)
