"""By how many bits a planted target outranks fillings of the same canary that were never planted (arXiv 1802.08232).

It sees what greedy decoding misses. The rank among the fillings ends at `cap`; beyond it the bits are those of a normal distribution fitted
to the fillings' log-probabilities (probing/measures/fillings.py). As planted (probe `fim`), in the arm that saw the canary and, as control, in the other.
"""

import numpy as np

from ...parquet import declare
from . import columns
from .canary_pairs import arm_means, cells, hit_rate, pair_arms
from .frames import Frame
from .presentations import Shown

COLUMNS = ["exposure", "exposure_fitted", "reference_fillings"]
SCHEMA = declare(
    "exposure",
    **columns.CELL,
    n=columns.COUNT,
    reference_fillings=columns.COUNT,
    cap=columns.NUMBER,
    **columns.ARM_MEANS,
    **columns.arm_means("fitted_"),  # without a cap
    **columns.rate("at_cap_"),
    collapsed=columns.FLAG,
)
_SAME_BITS = 1e-9  # exposures that differ by less are the same rank


def summarize(*, extraction: Frame, utility: list[dict], shown: Shown, confidence: float) -> list[dict]:
    """Rows of `exposure`: policy x cohort x dose (None: all), in bits, beside the other arm.

    Exposure is log2(R + 1) - log2(rank) among R = `reference_fillings`, so none exceeds `cap` = log2(R + 1); a mean near it says that
    R was too small to tell. at_cap_rate is the share of pairs whose target outranks every filling. Where R differs, the column has the
    smallest.
    """
    pairs = pair_arms(extraction=extraction, measures=COLUMNS)
    pairs = pairs.assign(at_cap=pairs["exposure"] >= np.log2(pairs["reference_fillings"] + 1) - _SAME_BITS)
    rows = []
    for about, cell in cells(pairs=pairs, utility=utility, shown=shown):
        fillings = int(cell["reference_fillings"].min())
        row = dict(n=len(cell), reference_fillings=fillings, cap=float(np.log2(fillings + 1)))
        row |= arm_means(pairs=cell, measure="exposure", confidence=confidence)
        row |= arm_means(pairs=cell, measure="exposure_fitted", prefix="fitted_", confidence=confidence)
        row |= hit_rate(pairs=cell, is_hit=cell["at_cap"], prefix="at_cap_", confidence=confidence)
        rows.append({**about, **row})
    return rows
