"""(n, p)-discoverable extraction (arXiv 2410.19482): which targets would n samples give away with a probability of p or more?

It is computed from the likelihood of the target, with the sampling settings of the probes; sampled_attacks.py checks it. As planted (probe
`fim`), in the arm that saw the canary and, as control, in the other.
"""

import numpy as np

from ...parquet import declare
from . import columns
from .canary_pairs import cells, hit_rate, pair_arms
from .frames import Frame
from .presentations import Shown

COLUMNS = ["log_p_extract"]
SCHEMA = declare(
    "extraction_probability",
    **columns.CELL,
    extraction_n=columns.BIG_COUNT,
    extraction_p=columns.NUMBER,
    n=columns.COUNT,
    **columns.rate(),
    **columns.rate("control_"),
    collapsed=columns.FLAG,
)


def summarize(
    *, extraction: Frame, utility: list[dict], shown: Shown, extraction_n: list[int], extraction_p: list[float], confidence: float
) -> list[dict]:
    """Rows of `extraction_probability`: policy x cohort x dose (None: all) x n samples x probability p.

    The rate is the share of pairs of which n samples hold the target at least once with probability >= p.
    """
    pairs = pair_arms(extraction=extraction, measures=COLUMNS)
    rows = []
    for about, cell in cells(pairs=pairs, utility=utility, shown=shown):
        for samples in extraction_n:
            assigned, control = (
                sampling_probability(log_p=cell[column].to_numpy(), samples=samples)
                for column in ("log_p_extract", "control_log_p_extract")
            )
            for least in extraction_p:
                row = dict(extraction_n=samples, extraction_p=least, n=len(cell))
                row |= hit_rate(pairs=cell, is_hit=assigned >= least, confidence=confidence)
                row |= hit_rate(pairs=cell, is_hit=control >= least, prefix="control_", confidence=confidence)
                rows.append({**about, **row})
    return rows


def sampling_probability(*, log_p: np.ndarray, samples: int) -> np.ndarray:
    """The probability 1 - (1 - p)^samples that at least one of so many independent samples is the target; `log_p` in nats, of any shape.

    1 - p is 1 for p below 1e-16, and its power then 1 for any number of samples. So the logarithm of the expected number of hits,
    log(samples) + log(-log(1 - p)), is formed first: p = 1e-17 with 1e18 samples gives 0.99995. -inf gives 0. Raises ValueError where
    p > 1.
    """
    log_p = np.asarray(log_p, dtype=float)
    if (log_p > 1e-6).any():  # float32 sums of log-probabilities may exceed 0 by less
        raise ValueError(f"a log-probability of {log_p.max():g} is above 0")
    log_p = np.minimum(log_p, 0.0)
    with np.errstate(divide="ignore", over="ignore"):  # p = 1 is an infinite hazard, and its probability is 1
        log_hazard = np.where(log_p < -40, log_p, np.log(-np.log1p(-np.exp(log_p))))  # -log(1 - p) is p itself below e^-40
        return -np.expm1(-np.exp(np.log(samples) + log_hazard))
