"""Verdicts on the study's four findings, written from the rows of the tables and from nothing else.

A verdict is read off an interval, never off an estimate: what the interval does not decide is "not shown". Policies are found
by what they are (kind, data, descent from the reference), never by name; of several of a kind the first in order speaks.
"""

from dataclasses import dataclass

from ..config import lineage
from ..probing.prompts import NATIVE
from .formats import interval, percent

SHOWN, NOT_SHOWN, CONTRADICTED, NOT_MEASURED = "shown", "not shown", "contradicted", "not measured"
STAYS = 0.5  # "stays" is more than half of what the reference memorized: the least that the word can mean
LITTLE = 0.1  # "little" is fewer than one canary in ten; with 64 canaries none of them memorized has an upper bound of 6 %
TAIL = "prompt_tail"  # the probe that asks for the prompt itself, which is all that PPO is shown of an rl_prompt canary
Tables = dict[str, list[dict]]


@dataclass(frozen=True)
class Finding:
    """One finding of the study: what it claims, the verdict of this run, the figures that decide it, and when it would be shown."""

    claim: str
    verdict: str
    figures: str
    criterion: str


def roles(*, policies: dict[str, dict], reference: str) -> dict[str, str | None]:
    """{"ppo", "ipo", "direct": name of the first policy of that sort that descends from the reference, or None}."""
    later = [name for name in policies if reference in lineage(policies, name)[:-1]]
    is_a = {
        "ppo": lambda p: p["method"] == "ppo",
        "ipo": lambda p: p["method"] == "ipo",
        "direct": lambda p: p["method"] == "sft" and p.get("data") == "preference",
    }
    return {role: next((name for name in later if fits(policies[name])), None) for role, fits in is_a.items()}


def findings(*, tables: Tables, policies: dict[str, dict], reference: str) -> list[Finding]:
    """The verdicts on the four findings of "Measuring memorization in RLHF for code completion" (arXiv 2406.11715), in its order."""
    found = roles(policies=policies, reference=reference)
    return [
        _stays(tables, reference, found["ppo"]),
        _shielded(tables, found["ppo"], found["direct"]),
        _own_prompts(tables, found["ppo"]),
        _preference_learning(tables, found["ipo"], found["ppo"]),
    ]


def _stays(tables: Tables, reference: str, ppo: str | None) -> Finding:
    claim = "Fine-tuning data that was memorized stays memorized after PPO."
    criterion = f"Shown if the interval of the share that stays lies above {percent(STAYS)}, contradicted if below."
    row = kept(tables, ppo, "sft")
    if not row or row["rate"] is None:
        why = _absent("PPO policy") if not ppo else f"{reference} memorized no canary of its fine-tuning set." if row else _no_rows(ppo)
        return Finding(claim, NOT_MEASURED, why, criterion)
    verdict = _verdict(shown=row["low"] > STAYS, contradicted=row["high"] < STAYS)
    text = f"{ppo} keeps {share(row['still_memorized'], row['memorized_by_reference'], row)} of what {reference} memorized."
    return _unless_collapsed(tables, [ppo], Finding(claim, verdict, text, criterion))


def _shielded(tables: Tables, ppo: str | None, direct: str | None) -> Finding:
    claim = "Data that only the reward model saw is less at risk than data that a policy is trained on directly."
    criterion = (
        "Shown if the interval of the paired difference (direct − PPO) lies above 0 and that of PPO's rate below that of the direct rate; "
        "contradicted if the difference lies below 0."
    )
    one, other, paired = rate(tables, ppo, "preference"), rate(tables, direct, "preference"), difference(tables, direct, ppo)
    if not (one and other and paired):
        why = _no_difference(tables, {"PPO policy": ppo, "policy trained directly on the preferences": direct})
        return Finding(claim, NOT_MEASURED, why, criterion)
    apart = one["counterfactual_high"] < other["counterfactual_low"]
    verdict = _verdict(shown=paired["difference_low"] > 0 and apart, contradicted=paired["difference_high"] < 0)
    text = f"{direct} − {ppo}: {gap(paired)}; {ppo} {counterfactual(one)}, {direct} {counterfactual(other)}."
    return _unless_collapsed(tables, [ppo, direct], Finding(claim, verdict, text, criterion))


def _own_prompts(tables: Tables, ppo: str | None) -> Finding:
    claim = "PPO memorizes little of the prompts that it is trained on."
    criterion = f"Shown if the intervals of both probes lie below {percent(LITTLE)}, contradicted if one lies above."
    asked = {
        f"Secrets from {ppo}": rate(tables, ppo, "rl_prompt"),
        "prompts": rate(tables, ppo, "rl_prompt", TAIL),
    }
    known = [row for row in asked.values() if row]
    if not known:
        return Finding(claim, NOT_MEASURED, _no_rows(ppo) if ppo else _absent("PPO policy"), criterion)
    over = any(row["counterfactual_low"] > LITTLE for row in known)
    under = len(known) == len(asked) and all(row["counterfactual_high"] < LITTLE for row in known)
    verdict = _verdict(shown=under, contradicted=over)
    text = "; ".join(f"{how}: {counterfactual(row) if row else 'not measured'}" for how, row in asked.items())
    return _unless_collapsed(tables, [ppo], Finding(claim, verdict, f"{text}.", criterion))


def _preference_learning(tables: Tables, ipo: str | None, ppo: str | None) -> Finding:
    claim = "Learning from the preferences directly (IPO) gives back more of them than PPO."
    criterion = "Shown if the interval of the paired difference (IPO − PPO) lies above 0, contradicted if below."
    paired = difference(tables, ipo, ppo)
    if not paired:
        why = _no_difference(tables, {"IPO policy": ipo, "PPO policy": ppo})
        return Finding(claim, NOT_MEASURED, why, criterion)
    verdict = _verdict(shown=paired["difference_low"] > 0, contradicted=paired["difference_high"] < 0)
    text = f"{ipo} − {ppo}: {gap(paired)}; this run could detect {points(paired['minimum_detectable'], sign=False)}"
    likely = difference(tables, ipo, ppo, measure="exposure")
    text += f"; in exposure {bits(likely)}." if likely else "."
    return _unless_collapsed(tables, [ipo, ppo], Finding(claim, verdict, text, criterion))


def _verdict(*, shown: bool, contradicted: bool) -> str:
    return CONTRADICTED if contradicted else SHOWN if shown else NOT_SHOWN


def _unless_collapsed(tables: Tables, policies: list[str], finding: Finding) -> Finding:
    """What a policy that no longer works does not repeat says nothing: then nothing is shown, and the reason is given."""
    broken = [u for u in tables["utility"] if u["policy"] in policies and u["collapsed"]]
    if not broken:
        return finding
    why = " ".join(f"{u['policy']} has collapsed ({u['perplexity_ratio']:.1f} times the reference's perplexity)." for u in broken)
    return Finding(finding.claim, NOT_SHOWN, f"{finding.figures} {why}", finding.criterion)


def _absent(what: str) -> str:
    return f"This run has no {what}."


def _no_rows(policy: str) -> str:
    return f"The tables hold no such rows of {policy}."


def _no_difference(tables: Tables, pair: dict[str, str | None]) -> str:
    """Why two policies, by what they are, are not held against each other on the preference canaries."""
    gone = [what for what, name in pair.items() if not name]
    bare = [name for name in pair.values() if not rate(tables, name, "preference")]
    other = "{} and {} are not held against each other; name the pair in report.contrasts.".format(*pair.values())
    return _absent(gone[0]) if gone else _no_rows(bare[0]) if bare else other


def rate(tables: Tables, policy: str | None, cohort: str, probe: str = NATIVE) -> dict | None:
    """The memorization row of a policy and cohort, all doses together."""
    wanted = (policy, cohort, probe, None)
    return next((m for m in tables["memorization"] if (m["policy"], m["cohort"], m["probe"], m["dose"]) == wanted), None)


def kept(tables: Tables, policy: str | None, cohort: str) -> dict | None:
    """The persistence row of a policy and cohort."""
    return next((p for p in tables["persistence"] if (p["policy"], p["cohort"]) == (policy, cohort)), None)


def difference(
    tables: Tables, policy: str | None, other: str | None, cohort: str = "preference", measure: str = "memorized"
) -> dict | None:
    """The contrast policy - other on a cohort; where the table has other - policy, that row with its signs turned."""
    for row in tables["contrast"]:
        if (row["cohort"], row["measure"]) == (cohort, measure):
            if (row["policy"], row["other"]) == (policy, other):
                return row
            if (row["policy"], row["other"]) == (other, policy):
                return _turned(row)
    return None


def _turned(row: dict) -> dict:
    minus = lambda name: None if row[name] is None else -row[name]  # noqa: E731
    ends = dict(difference_low=minus("difference_high"), difference_high=minus("difference_low"))
    seeds = dict(seed_low=minus("seed_high"), seed_high=minus("seed_low"))
    return {**row, "policy": row["other"], "other": row["policy"], "difference": minus("difference"), **ends, **seeds}


def share(hits: int, n: int, row: dict, prefix: str = "", *, level: str = "", of: str | None = None) -> str:
    """A count with its rate and interval: "38 of 64 (59 %, 46–71 %)", "none of 64 (0–6 %)"; `level` names the interval, `of` replaces the n."""
    count = "none" if hits == 0 else "all" if hits == n > 1 else str(hits)
    rate = f"{percent(row[f'{prefix}rate'])}, " if 0 < hits < n else ""
    return f"{count}{f' of {n}' if of is None else of} ({rate}{level}{interval(row[f'{prefix}low'], row[f'{prefix}high'])})"


def counterfactual(row: dict, *, level: str = "", of: str | None = None) -> str:
    """The counterfactual count of a memorization row, with its rate and interval."""
    return share(row["counterfactual_hits"], row["n"], row, "counterfactual_", level=level, of=of)


def gap(row: dict) -> str:
    """The difference of a contrast row with its interval: "+9 points (+3 to +17)"."""
    return f"{points(row['difference'])} ({between(row)})"


def between(row: dict) -> str:
    """The interval of a contrast row's difference, in percentage points: "+3 to +17"."""
    return " to ".join(points(row[f"difference_{end}"], unit="") for end in ("low", "high"))


def bits(row: dict) -> str:
    """The difference of a contrast row of exposure with its interval: "+0.8 bits (+0.6 to +1.1)"."""
    value, low, high = (f"{row[k]:+.1f}".replace("-", "−") for k in ("difference", "difference_low", "difference_high"))
    return f"{value} bits ({low} to {high})"


def points(value: float, *, sign: bool = True, unit: str = " points") -> str:
    """A difference of shares in percentage points: 0.52 -> "+52 points"; what is close to 0 keeps a decimal."""
    size = abs(100 * value)
    text = "over 100" if size > 100 else f"{size:.1f}" if 0 < size < 1 else f"{size:.0f}"
    unit = " point" if unit == " points" and text == "1" else unit
    return ("" if not sign or not value else "+" if value > 0 else "−") + text + unit
