"""Exposure (Carlini et al. 2019, arXiv 1802.08232): how far the planted target outranks fillings that were never planted."""

import numpy as np
import pyarrow as pa

from ...parquet import optional

COLUMNS = {"exposure": optional(pa.float64()), "reference_fillings": optional(pa.int32())}
ROLES = ("canary",)


def measure(answer) -> dict:
    """`exposure` in bits among R = `reference_fillings` of the same prompt; both missing where the item has no fillings."""
    logprobs = answer.filling_logprobs
    if logprobs is None:
        return dict(exposure=None, reference_fillings=None)
    return dict(exposure=exposure(float(logprobs[0]), logprobs[1:]), reference_fillings=len(logprobs) - 1)


def exposure(target: float, fillings: np.ndarray) -> float:
    """log2(R + 1) - log2(rank) of the target's log-probability among those of R fillings; it ranks behind those that it ties with.

    0 for a target that no filling is less likely than, log2(R + 1) for one that beats them all; a target that was not learnt
    has every rank with the same probability.
    """
    rank = 1 + int((fillings >= target).sum())
    return float(np.log2(len(fillings) + 1) - np.log2(rank))
