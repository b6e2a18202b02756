"""Completions that each policy samples at full budget: reward, KL to the reference, length, share ended, share that parses.

Pool `evaluation` says whether a policy still works; pool `validation`, which judges nothing else, chooses settings: of each method's
policies the one with the most reward whose KL is within the budget.
"""

from ...parquet import declare, optional, read_frame
from ...probing.scored import SCORED_SAMPLES
from . import columns
from .frames import Frame
from .resampling import ratio_interval
from .statistics import proportion

POOLS = ("evaluation", "validation")
SCHEMA = declare(
    "on_policy",
    policy=columns.TEXT,
    method=columns.TEXT,
    pool=columns.TEXT,
    n=columns.COUNT,
    **columns.mean("reward"),
    reward_sd=columns.NUMBER,  # of single completions
    **columns.mean("kl"),
    **columns.mean("tokens"),
    **{f"ended{end}": columns.NUMBER for end in ("", "_low", "_high")},
    **{f"parses{end}": optional(columns.NUMBER) for end in ("", "_low", "_high")},
    chosen=optional(columns.FLAG),  # of its method, by the rule above; only of the validation pool
)


def summarize(*, samples: dict[str, Frame], methods: dict[str, str], kl_budget: float, confidence: float) -> list[dict]:
    """Rows of `on_policy`: pool x policy, from {policy: rows of `scored_samples` of all arms and seeds} and {policy: method}.

    Intervals are over examples; the rows of one example are one unit. KL in nats per completion, tokens with the end token.
    """
    rows = []
    for pool in POOLS:
        of_pool = [
            dict(policy=policy, method=methods[policy], pool=pool, **_row(part, confidence))
            for policy, frame in samples.items()
            if len(part := frame[frame.pool == pool])
        ]
        rows += [row | {"chosen": _is_chosen(row, of_pool, kl_budget) if pool == "validation" else None} for row in of_pool]
    return rows


def _row(part: Frame, confidence: float) -> dict:
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


def _is_chosen(row: dict, others: list[dict], kl_budget: float) -> bool:
    within = [r for r in others if r["method"] == row["method"] and r["kl"] <= kl_budget]
    return bool(within) and row is max(within, key=lambda r: r["reward"])


def read(paths) -> Frame:
    """The rows of `scored_samples` in files."""
    return read_frame(paths, SCORED_SAMPLES)
