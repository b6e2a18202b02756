"""Near-verbatim leakage, which an edit distance over the whole target misses: rows of `recovery`."""

import pandas as pd

from .pairs import cells, compared, twins

MEASURES = ["longest_substring", "recovered"]  # shares of the target's characters: in one piece, and in order


def recovery(*, extraction: pd.DataFrame, utility: list[dict], confidence: float) -> list[dict]:
    """Rows of `recovery`: policy x cohort x dose (None: all) x measure, as planted (probe `fim`), beside the other arm."""
    pairs = twins(extraction=extraction, measures=MEASURES)
    return [
        dict(**about, measure=measure, n=len(cell), **compared(pairs=cell, measure=measure, confidence=confidence))
        for about, cell in cells(pairs=pairs, utility=utility)
        for measure in MEASURES
    ]
