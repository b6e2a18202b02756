"""Which policy leaks least at equal utility? One row per policy that is not a base policy.

Leakage is the counterfactual rate over all planted canaries, as planted (probe `fim`): memorized by the arm that saw the canary and
not by the other. Utility is compared with that of the reference on the same held-out examples, pair by pair, and comparability.py
says which policies are comparable. These are ranked by leakage; ties share a rank.
"""

from itertools import combinations

import numpy as np

from ...data.cohorts import PLANTED
from ...parquet import declare, optional
from ...probing.prompts import NATIVE
from . import columns
from .canary_pairs import arm_means, counterfactual, hit_rate, pair_arms
from .comparability import judge
from .frames import Frame
from .pareto import is_on_front
from .resampling import ratio_interval, resampled_ratios
from .statistics import holm, share_difference_interval, sign_flip

COLUMNS = ["memorized", "exposure"]
EVALUATION_COLUMNS = ["policy", "example_id", "target_logprob", "target_tokens", "completion_reward"]
SCHEMA = declare(
    "leaderboard",
    rank=optional(columns.COUNT),
    policy=columns.TEXT,
    method=columns.TEXT,
    data=optional(columns.TEXT),
    comparable=columns.FLAG,
    reason=optional(columns.TEXT),
    equivalence_shown=columns.FLAG,
    n=columns.COUNT,
    **columns.rate(),  # counterfactual, of all planted canaries
    **columns.mean("difference", optional(columns.NUMBER)),  # to the first policy
    p=optional(columns.NUMBER),
    p_holm=optional(columns.NUMBER),
    **columns.optional_rate("sft_"),
    **columns.optional_rate("preference_"),
    **columns.optional_rate("rl_prompt_"),
    **columns.mean("exposure"),
    perplexity=columns.NUMBER,
    **columns.mean("perplexity_ratio"),
    **columns.mean("reward_gain"),
    kl_to_reference=columns.NUMBER,
    kl_low=columns.NUMBER,
    kl_high=columns.NUMBER,
    on_front=optional(columns.NUMBER),
    on_reward_front=optional(columns.NUMBER),
    collapsed=columns.FLAG,
)
_DIFFERENCE = ("difference", "difference_low", "difference_high", "p", "p_holm")


def summarize(
    *,
    extraction: Frame,
    evaluation: Frame,
    utility: list[dict],
    policies: dict[str, dict],
    reference: str,
    confidence: float,
    band: dict,
) -> list[dict]:
    """Rows of `leaderboard`: the comparable ones by rising leakage, then the others; equals stay in the order of `utility`.

    `policies` has the method, and the data where it has some, of each policy to show; `band` is report.utility_band. Raises ValueError
    where the policies were not probed with the same canaries or the same held-out examples.
    """
    ranked = [row for row in utility if row["policy"] in policies]
    names = [row["policy"] for row in ranked]
    pairs = planted_pairs(extraction[extraction["policy"].isin(names)])
    leaks = by_unit(pairs, "canary_id", {"leaked": "mean"}, names)["leaked"]
    surprise, tokens, reward = gains(evaluation, names, reference)
    rows = []
    for used in ranked:
        name = used["policy"]
        row = dict(policy=name, method=policies[name]["method"], data=policies[name].get("data"), collapsed=used["collapsed"])
        row |= leakage(pairs[pairs["policy"] == name], confidence) | _utility(used, surprise[name], tokens, reward[name], confidence)
        rows.append(row | judge(band=band, collapsed=used["collapsed"], **_measured(row, band["measure"])))
    fronts = _front_shares(rows, leaks[names].to_numpy(), surprise.to_numpy(), tokens, reward.to_numpy())
    rows = [{**row, **shares} for row, shares in zip(rows, fronts, strict=True)]
    return _compared_with_first(_ranked(rows), leaks, confidence)


def planted_pairs(extraction: Frame) -> Frame:
    """Pairs (canary_pairs.pair_arms) of the planted canaries, with `leaked`: memorized by the arm that saw it and not by the other."""
    pairs = pair_arms(extraction=extraction[extraction["probe"] == NATIVE], measures=COLUMNS)
    pairs = pairs[pairs["cohort"].isin(PLANTED)]
    return pairs.assign(leaked=counterfactual(pairs))


def by_unit(rows: Frame, unit: str, aggregates: dict[str, str], names: list[str]) -> Frame:
    """Aggregates ({column: function}) of each unit over seeds and arms, columns (column, policy); ValueError where a policy lacks a unit."""
    units = rows.astype({column: float for column in aggregates}).groupby([unit, "policy"], observed=True)[list(aggregates)]
    wide = units.agg(aggregates).unstack()
    if set(names) - set(wide.columns.get_level_values(1)) or wide.isna().any(axis=None):
        raise ValueError(f"the policies {', '.join(names)} were not probed with the same {unit.removesuffix('_id')} items")
    return wide


def gains(evaluation: Frame, names: list[str], reference: str) -> tuple[Frame, np.ndarray, Frame]:
    """(surprise, tokens, reward): per held-out example what each policy has more than the reference.

    surprise is in nats and reward in points, both of shape (examples, policies); tokens, of shape (examples,), are the same for all.
    """
    rows = evaluation[evaluation["policy"].isin([*names, reference])]
    aggregates = {"target_logprob": "sum", "target_tokens": "sum", "completion_reward": "mean"}
    wide = by_unit(rows, "example_id", aggregates, [*names, reference])
    tokens = wide["target_tokens"]
    if (tokens.to_numpy() != tokens[[reference]].to_numpy()).any():
        raise ValueError("the policies were not probed with the same held-out targets")
    logprob, reward = (wide[column][names].sub(wide[column][reference], axis=0) for column in ("target_logprob", "completion_reward"))
    return -logprob, tokens[reference].to_numpy(), reward


def leakage(pairs: Frame, confidence: float) -> dict:
    """n, hits, rate and interval over all planted canaries and per cohort (None where it is not there), and exposure in bits."""
    row = {"n": len(pairs), **hit_rate(pairs=pairs, is_hit=pairs["leaked"], confidence=confidence)}
    for cohort in PLANTED:
        part, prefix = pairs[pairs["cohort"] == cohort], f"{cohort}_"
        row |= dict.fromkeys(f"{prefix}{name}" for name in ("hits", "rate", "low", "high"))
        row |= {f"{prefix}n": len(part)}
        if len(part):
            row |= hit_rate(pairs=part, is_hit=part["leaked"], prefix=prefix, confidence=confidence)
    bits = arm_means(pairs=pairs, measure="exposure", confidence=confidence)
    return row | {f"exposure{end}": bits[f"difference{end}"] for end in ("", "_low", "_high")}


def _utility(used: dict, surprise: Frame, tokens: np.ndarray, reward: Frame, confidence: float) -> dict:
    """Perplexity ratio and reward gained over the reference, each paired over examples, beside the policy's own perplexity and KL."""
    row = {name: used[name] for name in ("perplexity", "kl_to_reference", "kl_low", "kl_high")}
    log_ratios = ratio_interval(numerators=surprise.to_numpy(), denominators=tokens, confidence=confidence)
    gain = ratio_interval(numerators=reward.to_numpy(), denominators=np.ones(len(reward)), confidence=confidence)
    for end, log_ratio, more in zip(("", "_low", "_high"), log_ratios, gain, strict=True):
        row |= {f"perplexity_ratio{end}": float(np.exp(log_ratio)), f"reward_gain{end}": more}
    return row


def _measured(row: dict, measure: str) -> dict:
    """The band's measure of a row, with its interval."""
    prefix = "kl" if measure == "kl_to_reference" else measure
    return dict(value=row[measure], low=row[f"{prefix}_low"], high=row[f"{prefix}_high"])


def _front_shares(rows: list[dict], leaks: np.ndarray, surprise: np.ndarray, tokens: np.ndarray, reward: np.ndarray) -> list[dict]:
    """Of each policy the share of resamples in which it is on the front of leakage and perplexity, and on that of leakage and reward.

    Canaries and held-out examples are resampled, the comparable policies stay the same. None for what is not comparable. A policy
    of which nothing leaked leaks nothing in any resample: what more canaries would show is in its interval, not in this share.
    """
    comparable = [i for i, row in enumerate(rows) if row["comparable"]]
    costs = {"on_front": (surprise, tokens), "on_reward_front": (-reward, np.ones(len(reward)))}
    shares = [dict.fromkeys(costs) for _ in rows]
    for name, (cost, weights) in costs.items() if comparable else ():
        both = resampled_ratios((leaks[:, comparable], np.ones(len(leaks))), (cost[:, comparable], weights))
        for i, share in zip(comparable, is_on_front(np.stack(both, axis=-1)).mean(axis=0), strict=True):
            shares[i][name] = float(share)
    return shares


def _ranked(rows: list[dict]) -> list[dict]:
    """The rows in their order, with rank: 1 + the number of comparable policies that leak less; None for what is not comparable."""
    rates = [row["rate"] for row in rows if row["comparable"]]
    ranks = [1 + sum(rate < row["rate"] for rate in rates) if row["comparable"] else None for row in rows]
    rows = [{"rank": rank, **row} for rank, row in zip(ranks, rows, strict=True)]
    return sorted(rows, key=lambda row: (row["rank"] is None, row["rank"] or 0))


def _compared_with_first(rows: list[dict], leaks: Frame, confidence: float) -> list[dict]:
    """The rows with difference in leakage to the first of them, its interval, p and p_holm, where both are comparable.

    p_holm corrects over *all pairs* of comparable policies: the same canaries decided which one is first, and a correction
    over the pairs with it alone would not count that choice.
    """
    names = [row["policy"] for row in rows if row["comparable"]]
    pairs = list(combinations(names, 2))
    p = [sign_flip(differences=(leaks[other] - leaks[one]).to_numpy()) for one, other in pairs]
    tests = {pair: dict(p=raw, p_holm=corrected) for pair, raw, corrected in zip(pairs, p, holm(p), strict=True)}
    rows = [{**row, **dict.fromkeys(_DIFFERENCE)} for row in rows]
    for row in rows[1 : len(names)]:
        more = (leaks[row["policy"]] - leaks[names[0]]).to_numpy()
        low, high = share_difference_interval(differences=more, confidence=confidence)
        row |= dict(difference=float(more.mean()), difference_low=low, difference_high=high, **tests[names[0], row["policy"]])
    return rows
