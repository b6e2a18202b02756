"""Completions that each policy samples at full budget: reward, KL to the reference, length, share ended, share that parses.

Pool `evaluation` says whether a policy still works; pool `validation`, which judges nothing else, chooses settings (ladder.py).
"""

import numpy as np

from ...parquet import declare, optional, read_frame
from ...probing.scored import SCORED_SAMPLES
from . import columns
from .frames import Frame
from .resampling import ratio_interval
from .statistics import proportion

POOLS = ("evaluation", "validation")
BESIDE_REWARD = {  # columns of `means`
    **columns.mean("kl"),
    **columns.mean("tokens"),
    **{f"ended{end}": columns.NUMBER for end in ("", "_low", "_high")},
    **{f"parses{end}": optional(columns.NUMBER) for end in ("", "_low", "_high")},
}
SCHEMA = declare(
    "on_policy",
    policy=columns.TEXT,
    pool=columns.TEXT,
    n=columns.COUNT,
    **columns.mean("reward"),
    reward_sd=columns.NUMBER,  # of single completions
    **columns.mean("reward_gain", optional(columns.NUMBER)),  # over the reference; null: that itself, or probed in other arms and seeds
    **BESIDE_REWARD,
)


def summarize(*, samples: dict[str, Frame], reference: str, confidence: float) -> list[dict]:
    """Rows of `on_policy`: pool x policy, from {policy: rows of `scored_samples` of all arms and seeds}."""
    rows = []
    for pool in POOLS:
        parts = {policy: part for policy, frame in samples.items() if len(part := frame[frame.pool == pool])}
        for policy, part in parts.items():
            row = dict(policy=policy, pool=pool, **means(part, confidence), **dict.fromkeys(columns.mean("reward_gain")))
            if policy != reference and reference in parts and len(part) == len(parts[reference]):
                row |= _gain(part, parts[reference], confidence)
            rows.append(row)
    return rows


def _gain(part: Frame, reference: Frame, confidence: float) -> dict:
    """Mean reward less the reference's, paired by example."""
    ours, theirs = (rows.groupby("example_id")["reward"].mean() for rows in (part, reference))
    more = (ours - theirs).to_numpy(float)
    found = ratio_interval(numerators=more, denominators=np.ones(len(more)), confidence=confidence)
    return dict(zip(columns.mean("reward_gain"), found, strict=True))


def means(part: Frame, confidence: float) -> dict:
    """Means of rows of `scored_samples` with intervals over examples, whose rows are one unit each. KL in nats per completion, tokens
    with the end token.
    """
    row = dict(n=part.example_id.nunique(), reward_sd=float(part["reward"].std(ddof=0)))
    for column in ("reward", "kl", "tokens"):
        units = part.groupby("example_id")[column].agg(["sum", "count"]).to_numpy(float)
        found = ratio_interval(numerators=units[:, 0], denominators=units[:, 1], confidence=confidence)
        row |= dict(zip((column, f"{column}_low", f"{column}_high"), found, strict=True))
    for column in ("ended", "parses"):
        known = part[part[column].notna()]
        hits, units = int(known[column].astype(bool).sum()), known.example_id.nunique()
        found = proportion(hits=hits, n=len(known), units=units, confidence=confidence) if units else (None, None, None)
        row |= dict(zip((column, f"{column}_low", f"{column}_high"), found, strict=True))
    return row


def read(paths) -> Frame:
    """The rows of `scored_samples` in files."""
    return read_frame(paths, SCORED_SAMPLES)
