"""Which setting each method should have: policies that differ in their learning rate alone, and the rung that the rule chooses.

Every value is measured on the validation pool, which judges nothing else, by the first arm and seed; no leak is read.
"""

import numpy as np

from ...methods import METHODS
from ...parquet import declare
from . import columns
from .frames import Frame
from .on_policy import means

WITHIN = 1.05  # of the lowest perplexity
HIGHEST_RATE, LEAST_PERPLEXITY, MOST_REWARD = (
    "highest rate within 5 % of the lowest perplexity",
    "lowest perplexity",
    "most reward within the KL budget",
)
SCHEMA = declare(
    "ladder",
    method=columns.TEXT,
    policy=columns.TEXT,
    learning_rate=columns.NUMBER,
    n=columns.COUNT,
    perplexity=columns.NUMBER,  # of true continuations with their end tokens
    **columns.mean("reward"),
    **columns.mean("kl"),
    rule=columns.TEXT,
    chosen=columns.FLAG,
)


def summarize(
    *, samples: dict[str, Frame], ladders: list[dict[str, float]], methods: dict[str, str], kl_budget: float, confidence: float
) -> list[dict]:
    """Rows of `ladder`, from {policy: rows of `scored_samples`}, [{policy: learning rate}] and {policy: method}.

    `base`: the lowest perplexity. Methods that learn from examples: the highest rate within 5 % of the lowest perplexity, since doses
    must be learnt and held-out perplexity alone would choose not to train. All others: the most reward whose KL to the reference, in
    nats per completion, is within `kl_budget`; none, where every rung is beyond it.
    """
    rows = []
    for rates in ladders:
        method = methods[next(iter(rates))]
        rungs = [dict(method=method, policy=p, learning_rate=rate, **_measured(samples[p], confidence)) for p, rate in rates.items()]
        rule, best = _choice(method, rungs, kl_budget)
        rows += [rung | dict(rule=rule, chosen=rung is best) for rung in rungs]
    return rows


def _measured(frame: Frame, confidence: float) -> dict:
    pool = frame[frame.pool == "validation"]
    found = {k: v for k, v in means(pool, confidence).items() if k in SCHEMA.names}
    return found | dict(perplexity=float(np.exp(-pool.truth_logprob.sum() / pool.truth_tokens.sum())))


def _choice(method: str, rungs: list[dict], kl_budget: float) -> tuple[str, dict | None]:
    least = min(rungs, key=lambda rung: rung["perplexity"])
    match METHODS[method].learns_from:
        case "blocks":
            return LEAST_PERPLEXITY, least
        case "examples":
            within = [rung for rung in rungs if rung["perplexity"] <= WITHIN * least["perplexity"]]
            return HIGHEST_RATE, max(within, key=lambda rung: rung["learning_rate"])
        case _:
            within = [rung for rung in rungs if rung["kl"] <= kl_budget]
            return MOST_REWARD, max(within, key=lambda rung: rung["reward"], default=None)
