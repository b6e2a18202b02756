"""Policies of the same method at several strengths: what a figure joins to a curve."""


def strengths(leaderboard: list[dict]) -> dict[tuple, list[dict]]:
    """{(method, data): rows of its policies}, in the order of the rows: fine-tuning on other data is another method."""
    found: dict[tuple, list[dict]] = {}
    for row in leaderboard:
        found.setdefault((row["method"], row["data"]), []).append(row)
    return found
