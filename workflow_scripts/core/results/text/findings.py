"""Verdicts on the study's four findings, read from the rows of the tables and from nothing else.

A verdict is read off an interval, never off an estimate: what the interval does not decide is "not shown". Policies are found
by what they are (method, data, descent from the reference), never by name; of several of a sort the first in order counts.
"""

from dataclasses import dataclass, replace

from ...config.references import lineage
from ...probing.prompts import NATIVE
from ..tables.files import Tables
from .format import bits, count, interval, percent, points, points_with_interval

SHOWN, NOT_SHOWN, CONTRADICTED, NOT_MEASURED = "shown", "not shown", "contradicted", "not measured"
STAYS = 0.5  # "stays" is more than half of what the reference memorized: the least that the word can mean
LITTLE = 0.1  # "little" is fewer than one canary in ten; with 64 canaries none of them memorized has an upper bound of 6 %
TAIL = "prompt_tail"  # the probe for the prompt itself, which is all that PPO is shown of an rl_prompt canary


@dataclass(frozen=True)
class Finding:
    """One finding of the study: what it claims, this run's verdict, the figures behind it (or why there are none), and the criterion."""

    claim: str
    verdict: str
    evidence: str
    criterion: str
    details: str = ""  # more figures, for readers who want to check


def roles(*, policies: dict[str, dict], reference: str) -> dict[str, str | None]:
    """{"ppo", "ipo", "chosen": name of the first policy of that sort that descends from the reference, or None}.

    The policy `chosen` is fine-tuned on the chosen completions of the preference pairs.
    """
    later = [name for name in policies if reference in lineage(policies, name)[:-1]]
    fits = {
        "ppo": lambda policy: policy["method"] == "ppo",
        "ipo": lambda policy: policy["method"] == "ipo",
        "chosen": lambda policy: policy["method"] == "sft" and policy.get("data") == "preference",
    }
    return {role: next((name for name in later if is_a(policies[name])), None) for role, is_a in fits.items()}


def findings(*, tables: Tables, policies: dict[str, dict], reference: str) -> list[Finding]:
    """The verdicts on the four findings of "Measuring memorization in RLHF for code completion" (arXiv 2406.11715), in its order."""
    of = roles(policies=policies, reference=reference)
    return [
        _persistence(tables, reference, of["ppo"]),
        _reward_model_data(tables, of["ppo"], of["chosen"]),
        _own_prompts(tables, of["ppo"]),
        _preference_learning(tables, of["ipo"], of["ppo"]),
    ]


def _persistence(tables: Tables, reference: str, ppo: str | None) -> Finding:
    claim = "Fine-tuning data stays memorized after PPO"
    criterion = f"Shown if the interval of the share that stays lies above {percent(STAYS)}, contradicted if below."
    row = persistence_row(tables, ppo, "sft")
    if not row or row["rate"] is None:
        why = _absent("PPO policy") if not ppo else f"{reference} memorized no canary of its fine-tuning set" if row else _no_rows(ppo)
        return Finding(claim, NOT_MEASURED, why, criterion)
    verdict = _verdict(shown=row["low"] > STAYS, contradicted=row["high"] < STAYS)
    kept, known = row["still_memorized"], row["memorized_by_reference"]
    evidence = f"{ppo} keeps {kept} of the {known} that {reference} memorized ({interval(row['low'], row['high'])})"
    return _unless_collapsed(tables, [ppo], Finding(claim, verdict, evidence, criterion, f"Share that stays: {percent(row['rate'])}."))


def _reward_model_data(tables: Tables, ppo: str | None, chosen: str | None) -> Finding:
    claim = "Reward-model data comes back less than directly trained data"
    criterion = (
        "Shown if the interval of the paired difference (direct training − PPO) lies above 0 and that of PPO's rate below that of direct "
        "training; contradicted if the difference lies below 0."
    )
    rates, paired = [memorization_row(tables, policy, "preference") for policy in (ppo, chosen)], contrast_row(tables, chosen, ppo)
    if not (all(rates) and paired):
        why = _no_contrast(tables, {"PPO policy": ppo, "policy trained directly on the preferences": chosen})
        return Finding(claim, NOT_MEASURED, why, criterion)
    apart = rates[0]["counterfactual_high"] < rates[1]["counterfactual_low"]
    verdict = _verdict(shown=paired["difference_low"] > 0 and apart, contradicted=paired["difference_high"] < 0)
    details = f"Paired difference {chosen} − {ppo}: {points_with_interval(paired)}."
    return _unless_collapsed(tables, [ppo, chosen], Finding(claim, verdict, _counts(rates), criterion, details))


def _own_prompts(tables: Tables, ppo: str | None) -> Finding:
    claim = "PPO memorizes little of its own prompts"
    criterion = f"Shown if the intervals of both probes lie below {percent(LITTLE)}, contradicted if one lies above."
    probes = {"secrets": memorization_row(tables, ppo, "rl_prompt"), "prompts": memorization_row(tables, ppo, "rl_prompt", TAIL)}
    rows = [row for row in probes.values() if row]
    if not rows:
        return Finding(claim, NOT_MEASURED, _no_rows(ppo) if ppo else _absent("PPO policy"), criterion)
    above = any(row["counterfactual_low"] > LITTLE for row in rows)
    below = len(rows) == len(probes) and all(row["counterfactual_high"] < LITTLE for row in rows)
    counts = (count(row, "counterfactual_", noun=name) if row else f"{name} not measured" for name, row in probes.items())
    finding = Finding(claim, _verdict(shown=below, contradicted=above), f"{ppo} {', '.join(counts)}", criterion)
    return _unless_collapsed(tables, [ppo], finding)


def _preference_learning(tables: Tables, ipo: str | None, ppo: str | None) -> Finding:
    claim = "IPO gives back more preference data than PPO"
    criterion = "Shown if the interval of the paired difference (IPO − PPO) lies above 0, contradicted if below."
    paired = contrast_row(tables, ipo, ppo)
    if not paired:
        return Finding(claim, NOT_MEASURED, _no_contrast(tables, {"IPO policy": ipo, "PPO policy": ppo}), criterion)
    verdict = _verdict(shown=paired["difference_low"] > 0, contradicted=paired["difference_high"] < 0)
    counts = _counts([memorization_row(tables, policy, "preference") for policy in (ipo, ppo)])
    evidence = f"{counts}, difference {points_with_interval(paired)}".removeprefix(", ")
    details = f"This run could detect {points(paired['minimum_detectable'], sign=False)}."
    if likelihood := contrast_row(tables, ipo, ppo, measure="exposure"):
        details += f" Difference in exposure: {bits(likelihood)}."
    return _unless_collapsed(tables, [ipo, ppo], Finding(claim, verdict, evidence, criterion, details))


def _verdict(*, shown: bool, contradicted: bool) -> str:
    return CONTRADICTED if contradicted else SHOWN if shown else NOT_SHOWN


def _unless_collapsed(tables: Tables, policies: list[str], finding: Finding) -> Finding:
    """What a policy that no longer works does not repeat says nothing: then nothing is shown, and the reason is given."""
    broken = [row for row in tables["utility"] if row["policy"] in policies and row["collapsed"]]
    reasons = [f"{row['policy']} has collapsed ({row['perplexity_ratio']:.1f} times the reference's perplexity)" for row in broken]
    return replace(finding, verdict=NOT_SHOWN, evidence="; ".join([finding.evidence, *reasons])) if broken else finding


def _counts(rows: list[dict | None]) -> str:
    """The counterfactual counts of policies: "ppo 0 of 64 (0–6 %), sft_chosen 34 of 64 (40–66 %)"."""
    return ", ".join(f"{row['policy']} {count(row, 'counterfactual_')}" for row in rows if row)


def _absent(what: str) -> str:
    return f"this run has no {what}"


def _no_rows(policy: str) -> str:
    return f"the tables have no such rows of {policy}"


def _no_contrast(tables: Tables, pair: dict[str, str | None]) -> str:
    """Why two policies, by what they are, are not compared on the preference canaries."""
    absent = [what for what, name in pair.items() if not name]
    bare = [name for name in pair.values() if not memorization_row(tables, name, "preference")]
    other = "{} and {} are not compared; name the pair in report.contrasts".format(*pair.values())
    return _absent(absent[0]) if absent else _no_rows(bare[0]) if bare else other


def memorization_row(tables: Tables, policy: str | None, cohort: str, probe: str = NATIVE) -> dict | None:
    """The memorization row of a policy and cohort, all doses together."""
    wanted = (policy, cohort, probe, None)
    return next((row for row in tables["memorization"] if (row["policy"], row["cohort"], row["probe"], row["dose"]) == wanted), None)


def persistence_row(tables: Tables, policy: str | None, cohort: str) -> dict | None:
    """The persistence row of a policy and cohort."""
    return next((row for row in tables["persistence"] if (row["policy"], row["cohort"]) == (policy, cohort)), None)


def contrast_row(tables: Tables, policy: str | None, other: str | None, *, measure: str = "memorized") -> dict | None:
    """The contrast policy - other on the preference cohort; where the table has other - policy, that row with its signs reversed."""
    for row in tables["contrast"]:
        if (row["cohort"], row["measure"]) == ("preference", measure):
            if (row["policy"], row["other"]) == (policy, other):
                return row
            if (row["policy"], row["other"]) == (other, policy):
                return _reversed(row)
    return None


def _reversed(row: dict) -> dict:
    minus = lambda name: None if row[name] is None else -row[name]  # noqa: E731
    ends = dict(difference_low=minus("difference_high"), difference_high=minus("difference_low"))
    seeds = dict(seed_low=minus("seed_high"), seed_high=minus("seed_low"))
    return {**row, "policy": row["other"], "other": row["policy"], "difference": minus("difference"), **ends, **seeds}
