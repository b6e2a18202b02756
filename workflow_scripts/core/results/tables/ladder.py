"""Which setting each method should have: policies that differ in their learning rate alone, and the rung that the rule chooses.

Every value is measured on the validation pool, which judges nothing else, by the first arm and seed; no leak is read.
"""

import numpy as np

from ...methods import METHODS
from ...parquet import declare, optional
from . import columns
from .collapse import reasons
from .frames import Frame
from .on_policy import BESIDE_REWARD, means
from .resampling import ratio_interval

SAMPLED = ("tokens", "ended", "parses", "reward")
WITHIN = 1.05  # of the lowest perplexity, with the upper end of the interval: a rung just within it would be chosen by chance
HIGHEST_RATE, LEAST_PERPLEXITY, MOST_REWARD = (
    "highest rate surely within 5 % of the lowest perplexity",
    "lowest perplexity",
    "most reward within the KL budget, not collapsed",
)
SCHEMA = declare(
    "ladder",
    method=columns.TEXT,
    policy=columns.TEXT,
    learning_rate=columns.NUMBER,
    n=columns.COUNT,
    perplexity=columns.NUMBER,  # of true continuations with their end tokens
    **columns.mean("perplexity_ratio"),  # over the lowest of the ladder, on the same functions
    **columns.mean("reward"),
    **BESIDE_REWARD,
    collapsed_by=optional(columns.TEXT),  # by which of report.collapse_limits
    rule=columns.TEXT,
    chosen=columns.FLAG,
)


def summarize(
    *,
    samples: dict[str, Frame],
    ladders: list[dict[str, float]],
    methods: dict[str, str],
    reference: str,
    kl_budget: float,
    collapse_limits: dict[str, float],
    confidence: float,
) -> list[dict]:
    """Rows of `ladder`, from {policy: rows of `scored_samples`}, [{policy: learning rate}] and {policy: method}.

    `base`: the lowest perplexity. Methods that learn from examples: the highest rate whose perplexity is within 5 % of the lowest, by
    the upper end of the interval of their ratio, since doses must be learnt and held-out perplexity alone would choose not to train. All
    others: the most reward whose KL to the reference, in nats per completion, is within `kl_budget` and that has not collapsed on this
    pool; none, where no rung qualifies.
    """
    if not ladders:
        return []
    pools = {policy: frame[frame.pool == "validation"].sort_values("example_id") for policy, frame in samples.items()}
    measured = {policy: _measured(pool, confidence) for policy, pool in pools.items()}
    rows = []
    for rates in ladders:
        method, least = methods[next(iter(rates))], min(rates, key=lambda policy: measured[policy]["perplexity"])
        rungs = [
            dict(method=method, policy=policy, learning_rate=rate, **measured[policy])
            | _over(pools[policy], pools[least], confidence)
            | dict(collapsed_by=_collapsed_by(measured[policy], measured[reference], collapse_limits))
            for policy, rate in rates.items()
        ]
        rule, best = _choice(method, rungs, kl_budget)
        rows += [{k: v for k, v in rung.items() if k != "reward_sd"} | dict(rule=rule, chosen=rung is best) for rung in rungs]
    return rows


def _measured(pool: Frame, confidence: float) -> dict:
    return means(pool, confidence) | dict(perplexity=float(np.exp(-pool.truth_logprob.sum() / pool.truth_tokens.sum())))


def _over(pool: Frame, least: Frame, confidence: float) -> dict:
    """perplexity_ratio and its interval, paired over functions."""
    lost = least.truth_logprob.to_numpy() - pool.truth_logprob.to_numpy()
    log_ratios = ratio_interval(numerators=lost, denominators=pool.truth_tokens.to_numpy(), confidence=confidence)
    return {f"perplexity_ratio{end}": float(np.exp(log_ratio)) for end, log_ratio in zip(("", "_low", "_high"), log_ratios, strict=True)}


def _collapsed_by(row: dict, reference: dict, limits: dict[str, float]) -> str | None:
    sampled, of_reference = (
        {f"sampled_{name}": found[name] for name in SAMPLED} | {"perplexity_ratio": found["perplexity"] / reference["perplexity"]}
        for found in (row, reference)
    )
    return reasons(row=sampled, reference=of_reference | {"reward_sd": reference["reward_sd"]}, limits=limits)


def _choice(method: str, rungs: list[dict], kl_budget: float) -> tuple[str, dict | None]:
    least = min(rungs, key=lambda rung: rung["perplexity"])
    match METHODS[method].learns_from:
        case "blocks":
            return LEAST_PERPLEXITY, least
        case "examples":
            within = [rung for rung in rungs if rung["perplexity_ratio_high"] <= WITHIN]
            return HIGHEST_RATE, max(within, key=lambda rung: rung["learning_rate"])
        case _:
            within = [rung for rung in rungs if rung["kl"] <= kl_budget and not rung["collapsed_by"]]
            return MOST_REWARD, max(within, key=lambda rung: rung["reward"], default=None)
