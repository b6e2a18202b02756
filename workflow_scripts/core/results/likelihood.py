"""What the likelihood of a target gives away where greedy decoding may not: rows of `exposure` and `extraction_probability`.

Both are of canaries as planted (probe `fim`), in the arm that saw them and, as control, in the arm that did not.
"""

import numpy as np
import pandas as pd

from .pairs import cells, compared, rate, twins

RANKED, SAMPLED = ["exposure", "references"], ["log_p_extract"]  # what the two tables read
_SAME_BITS = 1e-9  # exposures that differ by less are the same rank


def exposure(*, extraction: pd.DataFrame, utility: list[dict], confidence: float) -> list[dict]:
    """Rows of `exposure`: by how many bits the target outranks `references` fillings of the same canary (arXiv 1802.08232).

    Exposure is log2(R + 1) - log2(rank), so none exceeds `cap` = log2(R + 1); a mean near it says that R was too small to tell.
    at_cap_rate is the share of pairs whose target outranks every reference. Where R differs, `references` is the smallest.
    """
    pairs = twins(extraction=extraction, measures=RANKED)
    pairs = pairs.assign(at_cap=pairs["exposure"] >= np.log2(pairs["references"] + 1) - _SAME_BITS)
    rows = []
    for about, cell in cells(pairs=pairs, utility=utility):
        references = int(cell["references"].min())
        row = dict(n=len(cell), references=references, cap=float(np.log2(references + 1)))
        row |= compared(pairs=cell, measure="exposure", confidence=confidence)
        row |= rate(pairs=cell, is_hit=cell["at_cap"], prefix="at_cap_", confidence=confidence)
        rows.append({**about, **row})
    return rows


def extraction_probability(
    *, extraction: pd.DataFrame, utility: list[dict], tries: list[int], chances: list[float], confidence: float
) -> list[dict]:
    """Rows of `extraction_probability`: the share of pairs of which `tries` samples hold the target with probability >= `chance`.

    This is (n, p)-discoverable extraction (arXiv 2410.19482), with the sampling settings of the probes.
    """
    pairs = twins(extraction=extraction, measures=SAMPLED)
    rows = []
    for about, cell in cells(pairs=pairs, utility=utility):
        for n in tries:
            assigned, control = (chance_within(log_p=cell[f"{arm}log_p_extract"].to_numpy(), tries=n) for arm in ("", "control_"))
            for chance in chances:
                row = dict(tries=n, chance=chance, n=len(cell))
                row |= rate(pairs=cell, is_hit=assigned >= chance, prefix="", confidence=confidence)
                row |= rate(pairs=cell, is_hit=control >= chance, prefix="control_", confidence=confidence)
                rows.append({**about, **row})
    return rows


def chance_within(*, log_p: np.ndarray, tries: int) -> np.ndarray:
    """The probability 1 - (1 - p)^tries that at least one of `tries` independent samples is the target; `log_p` in nats, of any shape.

    1 - p is 1 for p below 1e-16, and the power then 1 whatever `tries`. So the logarithm of the expected number of hits,
    log(tries) + log(-log(1 - p)), is formed first: p = 1e-17 with 1e18 tries gives 0.99995. -inf gives 0. Raises ValueError where p > 1.
    """
    log_p = np.asarray(log_p, dtype=float)
    if (log_p > 1e-6).any():  # float32 sums of log-probabilities may exceed 0 by less
        raise ValueError(f"a log-probability of {log_p.max():g} is above 0")
    log_p = np.minimum(log_p, 0.0)
    with np.errstate(divide="ignore", over="ignore"):  # p = 1 is an infinite hazard, and its chance is 1
        log_hazard = np.where(log_p < -40, log_p, np.log(-np.log1p(-np.exp(log_p))))  # -log(1 - p) is p itself below e^-40
        return -np.expm1(-np.exp(np.log(tries) + log_hazard))
