"""Near-verbatim leakage, which an edit distance over the whole target misses."""

from ...parquet import declare
from . import columns
from .canary_pairs import arm_means, cells, pair_arms
from .frames import Frame
from .presentations import Shown

COLUMNS = ["longest_substring", "recovered"]  # shares of the target's characters: in one piece, and in order
SCHEMA = declare(
    "recovery",
    **columns.CELL,
    measure=columns.TEXT,  # one of COLUMNS
    n=columns.COUNT,
    **columns.ARM_MEANS,
    collapsed=columns.FLAG,
)


def summarize(*, extraction: Frame, utility: list[dict], shown: Shown, confidence: float) -> list[dict]:
    """Rows of `recovery`: policy x cohort x dose (None: all) x measure, as planted (probe `fim`), beside the other arm."""
    pairs = pair_arms(extraction=extraction, measures=COLUMNS)
    return [
        dict(**about, measure=measure, n=len(cell), **arm_means(pairs=cell, measure=measure, confidence=confidence))
        for about, cell in cells(pairs=pairs, utility=utility, shown=shown)
        for measure in COLUMNS
    ]
