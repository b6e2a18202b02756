"""Does a policy still work? Measured on ordinary held-out code; these numbers stand beside every leakage number.

Teacher-forced and greedy measures are made here; `sampled_` ones, at full budget, are taken over from table on_policy.

An example is probed in both arms and under every seed; these rows of one example are one unit, resampled and counted together.
"""

import math

from ...parquet import declare, optional, read_frame
from ...probing.schemas import EVALUATION
from . import columns
from .collapse import reasons
from .frames import Frame
from .resampling import ratio_interval
from .statistics import proportion

COLUMNS = ["policy", "example_id", "exact_line", "parses", "target_logprob", "target_tokens", "completion_reward", "kl_to_reference"]
SCHEMA = declare(
    "utility",
    policy=columns.TEXT,
    n=columns.COUNT,
    tokens=columns.BIG_COUNT,
    **columns.mean("perplexity"),
    perplexity_ratio=columns.NUMBER,
    exact_line_rate=columns.NUMBER,
    exact_line_low=columns.NUMBER,
    exact_line_high=columns.NUMBER,
    n_parsable=columns.COUNT,
    parse_rate=optional(columns.NUMBER),
    parse_low=optional(columns.NUMBER),
    parse_high=optional(columns.NUMBER),
    **columns.mean("mean_reward"),
    kl_to_reference=columns.NUMBER,
    kl_low=columns.NUMBER,
    kl_high=columns.NUMBER,
    **columns.mean("sampled_tokens"),
    **columns.mean("sampled_ended"),
    **columns.mean("sampled_parses", optional(columns.NUMBER)),
    **columns.mean("sampled_reward"),
    collapsed=columns.FLAG,
    collapsed_by=optional(columns.TEXT),  # what is beyond its limit (collapse.py)
)
_SAMPLED = [f"{name}{end}" for name in ("tokens", "ended", "parses", "reward") for end in ("", "_low", "_high")]


def read_evaluation(paths, measures: list[str]) -> Frame:
    """The columns `measures` of the rows of `evaluation` in files."""
    return read_frame(paths, EVALUATION, measures)


def summarize(
    *,
    evaluation: Frame,
    on_policy: list[dict],
    policies: list[str],
    bases: list[str],
    reference: str,
    confidence: float,
    collapse_limits: dict[str, float],
) -> list[dict]:
    """Rows of `utility`, in the order of `policies`; one is `collapsed` where it is beyond any of the limits (collapse.reasons).

    perplexity = exp(-sum target_logprob / sum target_tokens), teacher-forced; mean_reward is of the greedy completions; of `on_policy`
    the rows of the evaluation pool count. `bases` have not yet learnt to fill a hole and to end, so none of them has collapsed. Raises
    ValueError where a policy has no rows.
    """
    parts = {policy: evaluation[evaluation["policy"] == policy] for policy in policies}
    if missing := [policy for policy, part in parts.items() if part.empty]:
        raise ValueError(f"no held-out example was probed under {', '.join(missing)}")
    sampled = {row["policy"]: row for row in on_policy if row["pool"] == "evaluation"}
    scale = _perplexity(parts[reference], confidence)[0]
    rows = {}
    for policy, part in parts.items():
        value, low, high = _perplexity(part, confidence)
        row = dict(policy=policy, perplexity=value, perplexity_low=low, perplexity_high=high, perplexity_ratio=value / scale)
        row |= _counts(part) | _rates(part, confidence) | _means(part, confidence)
        rows[policy] = row | {f"sampled_{name}": sampled[policy][name] for name in _SAMPLED}
    of_reference = rows[reference] | {"reward_sd": sampled[reference]["reward_sd"]}
    judged = {policy: row for policy, row in rows.items() if policy not in bases}
    by = dict.fromkeys(rows) | {policy: reasons(row=row, reference=of_reference, limits=collapse_limits) for policy, row in judged.items()}
    return [row | {"collapsed": by[policy] is not None, "collapsed_by": by[policy]} for policy, row in rows.items()]


def _perplexity(part: Frame, confidence: float) -> tuple[float, float, float]:
    """(perplexity, low, high); the bootstrap is on the mean negative log-probability per token, which exp keeps in order."""
    sums = part.groupby("example_id")[["target_logprob", "target_tokens"]].sum()
    surprise, tokens = -sums["target_logprob"].to_numpy(), sums["target_tokens"].to_numpy()
    return tuple(math.exp(x) for x in ratio_interval(numerators=surprise, denominators=tokens, confidence=confidence))


def _counts(part: Frame) -> dict:
    """Distinct examples, and the tokens of their targets, each once."""
    once = part.drop_duplicates("example_id")
    return dict(n=len(once), tokens=int(once["target_tokens"].sum()))


def _rates(part: Frame, confidence: float) -> dict:
    """Exact-line rate over all examples, parse rate over those whose context parses at all (None where there is none)."""
    parsable = part[part["parses"].notna()]
    exact_line = _proportion(part, "exact_line", confidence)
    parse = _proportion(parsable, "parses", confidence) if len(parsable) else (None, None, None)
    row = dict(zip(("exact_line_rate", "exact_line_low", "exact_line_high"), exact_line, strict=True))
    row |= dict(zip(("parse_rate", "parse_low", "parse_high"), parse, strict=True))
    return row | {"n_parsable": parsable["example_id"].nunique()}


def _proportion(rows: Frame, column: str, confidence: float) -> tuple[float, float, float]:
    """(rate, low, high) of the rows where a column holds."""
    hits = int(rows[column].astype(bool).sum())
    return proportion(hits=hits, n=len(rows), units=rows["example_id"].nunique(), confidence=confidence)


def _means(part: Frame, confidence: float) -> dict:
    """Mean reward of the completions and mean KL to the reference (nats per token), with bootstrap intervals."""
    row = {}
    for column, names in {
        "completion_reward": ("mean_reward", "mean_reward_low", "mean_reward_high"),
        "kl_to_reference": ("kl_to_reference", "kl_low", "kl_high"),
    }.items():
        units = part.groupby("example_id")[column].agg(["sum", "count"])
        interval = ratio_interval(numerators=units["sum"].to_numpy(), denominators=units["count"].to_numpy(), confidence=confidence)
        row |= dict(zip(names, interval, strict=True))
    return row
