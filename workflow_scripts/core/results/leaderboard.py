"""Which policy leaks least at equal utility: rows of `leaderboard`, one per policy that is not a base policy.

Leakage is the counterfactual rate over all planted canaries, as planted (probe `fim`): memorized by the arm that saw the canary and
not by the other (memorization.py). Utility is held against the reference on the same held-out examples, pair by pair, and band.py
says which policies are comparable. These are ranked by leakage; ties share a rank.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from ..probing.prompts import NATIVE
from . import band as bands
from .contrasts import difference_interval, holm
from .looks import PLANTED
from .pairs import compared, counterfactual, rate, twins
from .pareto import is_on_front
from .statistics import ratio_interval, resampled_ratios, sign_flip

MEASURES = ["memorized", "exposure"]
EVALUATION = ["policy", "example_id", "target_logprob", "target_tokens", "completion_reward"]


def leaderboard(
    *,
    extraction: pd.DataFrame,
    evaluation: pd.DataFrame,
    utility: list[dict],
    policies: dict[str, dict],
    reference: str,
    confidence: float,
    band: dict,
) -> list[dict]:
    """Rows of `leaderboard`: the comparable ones by rising leakage, then the others; equals stay in the order of `utility`.

    `policies` has the kind, and the data where it has some, of each policy to show; `band` is report.utility_band. Raises ValueError
    where the policies were not probed with the same canaries or the same held-out examples.
    """
    names = [row["policy"] for row in utility if row["policy"] in policies]
    pairs = planted(extraction[extraction["policy"].isin(names)])
    leaks = by_unit(pairs, "canary_id", {"leaked": "mean"}, names)["leaked"]
    surprise, tokens, reward = gained(evaluation, names, reference)
    rows = []
    for row in (u for u in utility if u["policy"] in policies):
        name = row["policy"]
        about = dict(policy=name, kind=policies[name]["method"], data=policies[name].get("data"))
        found = {**about, **leakage(pairs[pairs["policy"] == name], confidence), **_utility(row, surprise, tokens, reward, confidence)}
        judged = bands.judge(band=band, collapsed=row["collapsed"], **_measured(found, band["measure"]))
        rows.append({**found, **judged, "collapsed": row["collapsed"]})
    fronts = _fronts(rows, leaks[names].to_numpy(), surprise.to_numpy(), tokens, reward.to_numpy())
    rows = [{**row, **shares} for row, shares in zip(rows, fronts, strict=True)]
    return _against_first(_ranked(rows), leaks, confidence)


def planted(extraction: pd.DataFrame) -> pd.DataFrame:
    """Pairs (pairs.twins) of the planted canaries, with `leaked`: memorized by the arm that saw it and not by the other."""
    pairs = twins(extraction=extraction[extraction["probe"] == NATIVE], measures=MEASURES)
    pairs = pairs[pairs["cohort"].isin(PLANTED)]
    return pairs.assign(leaked=counterfactual(pairs))


def by_unit(rows: pd.DataFrame, unit: str, columns: dict[str, str], names: list[str]) -> pd.DataFrame:
    """Each unit's aggregate of `columns` ({name: function}) over seeds and arms, columns (name, policy); ValueError where one is missing."""
    wide = rows.astype({column: float for column in columns}).groupby([unit, "policy"], observed=True)[list(columns)].agg(columns).unstack()
    if set(names) - set(wide.columns.get_level_values(1)) or wide.isna().any(axis=None):
        raise ValueError(f"the policies {', '.join(names)} were not probed with the same {unit.removesuffix('_id')} items")
    return wide


def gained(evaluation: pd.DataFrame, names: list[str], reference: str) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame]:
    """(surprise, tokens, reward): per held-out example what each policy has more than the reference.

    surprise is in nats and reward in points, both of shape (examples, policies); tokens, of shape (examples,), are the same for all.
    """
    rows = evaluation[evaluation["policy"].isin([*names, reference])]
    how = {"target_logprob": "sum", "target_tokens": "sum", "completion_reward": "mean"}
    wide = by_unit(rows, "example_id", how, [*names, reference])
    tokens = wide["target_tokens"]
    if (tokens.to_numpy() != tokens[[reference]].to_numpy()).any():
        raise ValueError("the policies were not probed with the same held-out targets")
    less = lambda values: values[names].sub(values[reference], axis=0)  # noqa: E731
    return -less(wide["target_logprob"]), tokens[reference].to_numpy(), less(wide["completion_reward"])


def leakage(pairs: pd.DataFrame, confidence: float) -> dict:
    """n, hits, rate and interval over all planted canaries and per cohort (None where it is not there), and exposure in bits."""
    row = {"n": len(pairs), **rate(pairs=pairs, is_hit=pairs["leaked"], prefix="", confidence=confidence)}
    for cohort in PLANTED:
        part = pairs[pairs["cohort"] == cohort]
        if len(part):
            own = rate(pairs=part, is_hit=part["leaked"], prefix=f"{cohort}_", confidence=confidence)
        else:
            own = {f"{cohort}_{key}": None for key in ("hits", "rate", "low", "high")}
        row |= {f"{cohort}_n": len(part), **own}
    bits = compared(pairs=pairs, measure="exposure", confidence=confidence)
    return row | {f"exposure{end}": bits[f"difference{end}"] for end in ("", "_low", "_high")}


def _utility(row: dict, surprise: pd.DataFrame, tokens: np.ndarray, reward: pd.DataFrame, confidence: float) -> dict:
    """Perplexity ratio and reward gained over the reference, each paired over examples, beside the policy's own perplexity and KL."""
    own = {"perplexity": row["perplexity"], **{key: row[key] for key in ("kl_to_reference", "kl_low", "kl_high")}}
    log_ratio = ratio_interval(numerators=surprise[row["policy"]].to_numpy(), denominators=tokens, confidence=confidence)
    gain = ratio_interval(numerators=reward[row["policy"]].to_numpy(), denominators=np.ones(len(reward)), confidence=confidence)
    for end, ratio, more in zip(("", "_low", "_high"), log_ratio, gain, strict=True):
        own |= {f"perplexity_ratio{end}": float(np.exp(ratio)), f"reward_gain{end}": more}
    return own


def _measured(row: dict, measure: str) -> dict:
    """The band's measure of a row, with its interval."""
    short = "kl" if measure == "kl_to_reference" else measure
    return dict(value=row[measure], low=row[f"{short}_low"], high=row[f"{short}_high"])


def _fronts(rows: list[dict], leaks: np.ndarray, surprise: np.ndarray, tokens: np.ndarray, reward: np.ndarray) -> list[dict]:
    """Of each policy the share of resamples in which it is on the front of leakage and perplexity, and on that of leakage and reward.

    Canaries and held-out examples are resampled, the comparable policies stay the same. None for what is not comparable. A policy
    of which nothing leaked leaks nothing in any resample: what more canaries would show is in its interval, not in this share.
    """
    fit = [i for i, row in enumerate(rows) if row["comparable"]]
    utilities = {"on_front": (surprise, tokens), "on_reward_front": (-reward, np.ones(len(reward)))}
    found = [dict.fromkeys(utilities) for _ in rows]
    for name, (cost, weights) in utilities.items() if fit else ():
        both = resampled_ratios((leaks[:, fit], np.ones(len(leaks))), (cost[:, fit], weights))
        for i, share in zip(fit, is_on_front(np.stack(both, axis=-1)).mean(axis=0), strict=True):
            found[i][name] = float(share)
    return found


def _ranked(rows: list[dict]) -> list[dict]:
    """The rows in their order, with rank: 1 + the number of comparable policies that leak less; None for what is not comparable."""
    rates = [row["rate"] for row in rows if row["comparable"]]
    rank = lambda row: 1 + sum(other < row["rate"] for other in rates) if row["comparable"] else None  # noqa: E731
    return sorted(({"rank": rank(row), **row} for row in rows), key=lambda row: (row["rank"] is None, row["rank"] or 0))


def _against_first(rows: list[dict], leaks: pd.DataFrame, confidence: float) -> list[dict]:
    """The rows with difference in leakage to the first of them, its interval, p and p_holm, where both are comparable.

    p is holm-corrected over *all pairs* of comparable policies: which one is first was decided by the same canaries, and a correction
    over the pairs with it alone would not count that choice.
    """
    fit = [row["policy"] for row in rows if row["comparable"]]
    pairs = list(combinations(fit, 2))
    p = [sign_flip(differences=(leaks[other] - leaks[one]).to_numpy()) for one, other in pairs]
    found = {pair: (raw, fair) for pair, raw, fair in zip(pairs, p, holm(p), strict=True)}
    return [{**row, **_compared(leaks, fit[0], row["policy"], found, confidence)} if row["comparable"] else _alone(row) for row in rows]


def _alone(row: dict) -> dict:
    return row | dict.fromkeys(("difference", "difference_low", "difference_high", "p", "p_holm"))


def _compared(leaks: pd.DataFrame, first: str, policy: str, found: dict, confidence: float) -> dict:
    if policy == first:
        return _alone({})
    more = (leaks[policy] - leaks[first]).to_numpy()
    low, high = difference_interval(differences=more, is_share=True, confidence=confidence)
    p, p_holm = found[first, policy]
    return dict(difference=float(more.mean()), difference_low=low, difference_high=high, p=p, p_holm=p_holm)
