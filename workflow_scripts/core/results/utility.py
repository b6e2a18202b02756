"""Whether a policy still works: rows of `utility`, from ordinary held-out code. They stand beside every leakage number.

An example is probed in both arms and under every seed; these rows of one example are one unit, resampled and counted together.
"""

import math

import pandas as pd

from .statistics import proportion, ratio_interval

COLUMNS = ["policy", "example_id", "exact_line", "parses", "target_logprob", "target_tokens", "completion_reward", "kl_to_reference"]


def utility(*, evaluation: pd.DataFrame, policies: list[str], reference: str, confidence: float, collapse_ratio: float) -> list[dict]:
    """Rows of `utility`, in the order of `policies`; a policy is `collapsed` where its ratio to the reference exceeds `collapse_ratio`.

    perplexity = exp(-sum target_logprob / sum target_tokens), teacher-forced; mean_reward is of the greedy completions. Raises
    ValueError where a policy has no rows.
    """
    parts = {policy: evaluation[evaluation["policy"] == policy] for policy in policies}
    if missing := [policy for policy, part in parts.items() if part.empty]:
        raise ValueError(f"no held-out example was probed under {', '.join(missing)}")
    scale = _perplexity(parts[reference], confidence)[0]
    rows = []
    for policy, part in parts.items():
        value, low, high = _perplexity(part, confidence)
        about = dict(policy=policy, perplexity=value, perplexity_low=low, perplexity_high=high, perplexity_ratio=value / scale)
        rows.append(
            {**about, **_counts(part), **_rates(part, confidence), **_means(part, confidence), "collapsed": value / scale > collapse_ratio}
        )
    return rows


def _perplexity(part: pd.DataFrame, confidence: float) -> tuple[float, float, float]:
    """(perplexity, low, high); the bootstrap is on the mean negative log-probability per token, which exp keeps in order."""
    sums = part.groupby("example_id")[["target_logprob", "target_tokens"]].sum()
    found = ratio_interval(
        numerators=-sums["target_logprob"].to_numpy(), denominators=sums["target_tokens"].to_numpy(), confidence=confidence
    )
    return tuple(math.exp(x) for x in found)


def _counts(part: pd.DataFrame) -> dict:
    """Distinct examples, and the tokens of their targets, each once."""
    once = part.drop_duplicates("example_id")
    return dict(n=len(once), tokens=int(once["target_tokens"].sum()))


def _rates(part: pd.DataFrame, confidence: float) -> dict:
    """Exact-line rate over all examples, parse rate over those whose context parses at all (None where there is none)."""
    rate = lambda rows, column: proportion(  # noqa: E731
        hits=int(rows[column].astype(bool).sum()), n=len(rows), units=rows["example_id"].nunique(), confidence=confidence
    )
    parsable = part[part["parses"].notna()]
    line = rate(part, "exact_line")
    parse = rate(parsable, "parses") if len(parsable) else (None, None, None)
    row = dict(zip(("exact_line_rate", "exact_line_low", "exact_line_high"), line, strict=True))
    return row | dict(zip(("parse_rate", "parse_low", "parse_high"), parse, strict=True)) | {"n_parsable": parsable["example_id"].nunique()}


def _means(part: pd.DataFrame, confidence: float) -> dict:
    """Mean reward of the completions and mean KL to the reference (nats per token), with bootstrap intervals."""
    row = {}
    for column, names in {
        "completion_reward": ("mean_reward", "mean_reward_low", "mean_reward_high"),
        "kl_to_reference": ("kl_to_reference", "kl_low", "kl_high"),
    }.items():
        units = part.groupby("example_id")[column].agg(["sum", "count"])
        found = ratio_interval(numerators=units["sum"].to_numpy(), denominators=units["count"].to_numpy(), confidence=confidence)
        row |= dict(zip(names, found, strict=True))
    return row
