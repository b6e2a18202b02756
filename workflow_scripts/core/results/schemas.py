"""Rows of the tables, by name. `collapsed` in a row says that its policy's utility did: its leak rates are greyed out."""

import pyarrow as pa

from ..parquet import declare, name_of, optional

_policy = dict(policy=pa.string(), cohort=pa.string())
_cell = dict(**_policy, dose=optional(pa.int32()))  # dose is null for all doses together
_number, _maybe, _count = pa.float64(), optional(pa.float64()), pa.int32()


def _rate(prefix: str = "") -> dict:
    """A count with its rate and interval."""
    return {f"{prefix}hits": _count, f"{prefix}rate": _number, f"{prefix}low": _number, f"{prefix}high": _number}


def _known_rate(prefix: str) -> dict:
    """A count with its rate and interval of n units, all missing where n is 0."""
    return {f"{prefix}n": _count, f"{prefix}hits": optional(_count)} | {f"{prefix}{name}": _maybe for name in ("rate", "low", "high")}


def _mean(name: str, type_=_number) -> dict:
    """A mean with its interval."""
    return {name: type_, f"{name}_low": type_, f"{name}_high": type_}


_MEANS = {**_mean("mean"), **_mean("control"), **_mean("difference")}  # of the assigned arm, of the other arm, and paired

_ALL = [
    # what came back by greedy decoding; probe is how the canary was asked
    declare(
        "memorization",
        **_policy,
        probe=pa.string(),
        dose=optional(pa.int32()),
        n=_count,
        **_rate(),
        **_rate("control_"),
        **_rate("counterfactual_"),
        collapsed=pa.bool_(),
    ),
    # of what its reference memorized, what a later policy still does
    declare(
        "persistence",
        policy=pa.string(),
        reference=pa.string(),
        cohort=pa.string(),
        memorized_by_reference=_count,
        still_memorized=_count,
        rate=_maybe,
        low=_maybe,
        high=_maybe,
        lost=_count,
        gained=_count,
        mcnemar_p=_number,
        collapsed=pa.bool_(),
    ),
    # policy - other on the same canaries; measure is `memorized` (share), `exposure` (bits) or `target_logprob` (nats per token)
    declare(
        "contrast",
        policy=pa.string(),
        other=pa.string(),
        cohort=pa.string(),
        measure=pa.string(),
        n=_count,
        **_mean("difference"),
        p=_number,
        p_holm=_number,
        minimum_detectable=_number,
        seeds=_count,
        seed_low=_maybe,
        seed_high=_maybe,
        collapsed=pa.bool_(),
    ),
    # bits by which the target outranks fillings of the same canary that were never planted
    declare("exposure", **_cell, n=_count, references=_count, cap=_number, **_MEANS, **_rate("at_cap_"), collapsed=pa.bool_()),
    # near-verbatim leakage; measure is `longest_substring` or `recovered`, both as shares of the secret's characters
    declare("recovery", **_cell, measure=pa.string(), n=_count, **_MEANS, collapsed=pa.bool_()),
    # which secrets come back: rates are counterfactual, exposure (bits) and recovered (share) differences between the arms;
    # p and exposure_p say whether the kinds of this policy and cohort differ
    declare(
        "secret_types",
        **_policy,
        kind=pa.string(),
        n=_count,
        target_tokens=_number,
        **_rate(),
        **_mean("exposure"),
        **_mean("recovered"),
        p=_number,
        exposure_p=_number,
        collapsed=pa.bool_(),
    ),
    # share of canaries that `tries` samples give away with a probability of at least `chance`
    declare(
        "extraction_probability",
        **_cell,
        tries=pa.int64(),
        chance=_number,
        n=_count,
        **_rate(),
        **_rate("control_"),
        collapsed=pa.bool_(),
    ),
    # can one tell from the target's log-probability which canaries were planted? against is `twins` or `unplanted`
    declare(
        "membership",
        **_cell,
        against=pa.string(),
        members=_count,
        nonmembers=_count,
        **_mean("auc"),
        fpr=_number,
        **_mean("tpr"),
        collapsed=pa.bool_(),
    ),
    # what the reward model gives to a target that it saw and to the same one unseen
    declare("reward_gap", cohort=pa.string(), dose=optional(pa.int32()), n=_count, **_MEANS, **_mean("auc")),
    declare(
        "utility",
        policy=pa.string(),
        n=_count,
        tokens=pa.int64(),
        **_mean("perplexity"),
        perplexity_ratio=_number,
        exact_line_rate=_number,
        exact_line_low=_number,
        exact_line_high=_number,
        n_parsable=_count,
        parse_rate=_maybe,
        parse_low=_maybe,
        parse_high=_maybe,
        **_mean("mean_reward"),
        kl_to_reference=_number,
        kl_low=_number,
        kl_high=_number,
        collapsed=pa.bool_(),
    ),
    # policies by leakage at matched utility: counterfactual rates of all planted canaries; difference is to the first policy
    declare(
        "leaderboard",
        rank=optional(_count),
        policy=pa.string(),
        kind=pa.string(),
        data=optional(pa.string()),
        comparable=pa.bool_(),
        reason=optional(pa.string()),
        equivalence_shown=pa.bool_(),
        n=_count,
        **_rate(),
        **_mean("difference", _maybe),
        p=_maybe,
        p_holm=_maybe,
        **_known_rate("sft_"),
        **_known_rate("preference_"),
        **_known_rate("rl_prompt_"),
        **_mean("exposure"),
        perplexity=_number,
        **_mean("perplexity_ratio"),
        **_mean("reward_gain"),
        kl_to_reference=_number,
        kl_low=_number,
        kl_high=_number,
        on_front=_maybe,
        on_reward_front=_maybe,
        collapsed=pa.bool_(),
    ),
    # were the canaries really in the training sets, and nowhere else?
    declare(
        "audit",
        training_set=pa.string(),
        arm=pa.string(),
        cohort=pa.string(),
        sequence=pa.string(),
        dose=_count,
        canaries=_count,
        expected=pa.int64(),
        counted=pa.int64(),
        agree=_count,
    ),
    # greedy completions that differ from those in fp32, one prompt at a time
    declare("parity", policy=pa.string(), dtype=pa.string(), batch_size=_count, n=_count, **_rate()),
    declare(
        "cost",
        rule=pa.string(),
        policy=optional(pa.string()),
        arm=optional(pa.string()),
        seed=optional(pa.int32()),
        wall_s=_number,
        cpu_s=_maybe,
        peak_memory_mb=_maybe,
        gpu_peak_mb=_maybe,
        steps=optional(pa.int64()),
        tokens=optional(pa.int64()),
        device=optional(pa.string()),
    ),
]
TABLES = {name_of(schema): schema for schema in _ALL}
