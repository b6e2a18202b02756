"""Slow and simple ways to the same numbers."""


def area(members, nonmembers) -> float:
    """AUC, pair by pair."""
    return sum((m > n) + (m == n) / 2 for m in members for n in nonmembers) / (len(members) * len(nonmembers))
