"""Sampled attacks beside the computed (n, p): do n samples that were really drawn give away what the likelihoods say they should?

Planted canaries as planted (probe `fim`), in the arm that saw them.
"""

import numpy as np

from ...parquet import declare
from ...probing.prompts import NATIVE
from . import columns, stratified
from .canary_pairs import cells, hit_rate, interval, layout
from .distributions import normal_probability
from .extraction_probability import sampling_probability
from .frames import Frame
from .presentations import Shown

COLUMNS = ["seen", "sampled_exact", "sampled_near", "log_p_extract"]
SCHEMA = declare(
    "sampled_attacks",
    **columns.CELL,
    samples=columns.COUNT,  # of each canary
    n=columns.COUNT,
    **columns.rate(),  # canaries of which a sample was the target, token for token
    **columns.mean("computed"),  # the same share by the computed probabilities
    **columns.rate("near_"),  # canaries of which a sample came within memorized_distance
    exact_samples=columns.BIG_COUNT,  # samples of all these canaries that were the target
    expected_samples=columns.NUMBER,  # by the computed probabilities
    p=columns.NUMBER,
    collapsed=columns.FLAG,
)
_TERMS = 2 * 10**7  # beyond which a sum's exact distribution takes seconds


def summarize(*, extraction: Frame, utility: list[dict], shown: Shown, sampled_attacks: int, confidence: float) -> list[dict]:
    """Rows of `sampled_attacks`: policy x cohort x dose (None: all); none where `sampled_attacks`, the samples of a canary, is 0.

    `p`: were the computed probabilities true, how often would so many samples in all, or ones as unlikely, be exact?
    """
    if not sampled_attacks:
        return []
    rows = extraction[extraction["seen"] & (extraction["probe"] == NATIVE)]
    rows = rows.astype({name: "category" for name in ("policy", "canary_id", "secret_type", "cohort")})
    return [
        dict(**about, samples=sampled_attacks, n=len(cell), **_attacks(cell, sampled_attacks, confidence))
        for about, cell in cells(pairs=rows, utility=utility, shown=shown)
    ]


def _attacks(cell: Frame, samples: int, confidence: float) -> dict:
    log_p, crossed, exact = cell["log_p_extract"].to_numpy(dtype=float), layout(cell), int(cell["sampled_exact"].sum())
    computed = crossed.matrix(sampling_probability(log_p=log_p, samples=samples))
    chance = np.exp(np.minimum(log_p, 0.0))
    return dict(
        **hit_rate(pairs=cell, is_hit=cell["sampled_exact"] > 0, confidence=confidence),
        **interval("computed", stratified.mean(values=computed, strata=crossed.strata, confidence=confidence, bound=1.0)),
        **hit_rate(pairs=cell, is_hit=cell["sampled_near"] > 0, prefix="near_", confidence=confidence),
        exact_samples=exact,
        expected_samples=float(samples * chance.sum()),
        p=hits_differ(hits=exact, chance=chance, samples=samples),
    )


def hits_differ(*, hits: int, chance: np.ndarray, samples: int) -> float:
    """Two-sided p of so many `hits` in all, where each unit has `samples` independent ones and its own `chance`, of shape (units,).

    Exact, by the characteristic function of a sum of binomials, on as many points as hold all but 1e-12 of it; twice the smaller tail.
    For many units it is that of a normal distribution with continuity correction.
    """
    mean, sd = samples * chance.sum(), np.sqrt(samples * (chance * (1 - chance)).sum())
    points = 1 + int(min(samples * len(chance), max(hits, mean + 12 * sd) + 64))
    if points * len(chance) > _TERMS:
        return float(min(1.0, 2 * normal_probability(-max(abs(hits - mean) - 0.5, 0.0) / sd))) if sd else float(hits == round(mean))
    turn = np.exp(-2j * np.pi * np.arange(points // 2 + 1) / points) - 1
    transform = np.ones_like(turn)
    for p in chance[chance > 0]:
        transform *= (1 + p * turn) ** samples
    probabilities = np.clip(np.fft.irfft(transform, points), 0, None)
    return float(min(1.0, 2 * min(probabilities[: hits + 1].sum(), probabilities[hits:].sum())))
