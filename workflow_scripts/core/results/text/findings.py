"""Verdicts on the study's four findings, read from the rows of the tables and from nothing else.

A verdict is read off intervals and corrected tests, never off an estimate: what they do not decide is "not shown". Policies are found
by what they are (method, data, descent from the reference), never by name; of several of a sort the first in order counts.
"""

import math
from dataclasses import dataclass, replace

from ...probing.prompts import NATIVE
from ..tables.files import Tables
from . import contrasts, gate, references
from .format import count, enumeration, interval, percent
from .roles import roles
from .trends import trend

SHOWN, NOT_SHOWN, CONTRADICTED, NOT_MEASURED = "shown", "not shown", "contradicted", "not measured"
CANNOT_BE_ASKED = "cannot be asked of this run"  # the reward carries no content (gate.py)
STAYS = 0.5  # "stays" is more than half of what the reference memorized: the least that the word can mean
LITTLE = 0.1  # "little" is fewer than one canary in ten
CHECKPOINTS = "for these checkpoints"  # with one seed: training noise is in no interval
TAIL = "prompt_tail"  # the probe for the prompt itself, which is all that PPO is shown of an rl_prompt canary


@dataclass(frozen=True)
class Finding:
    """One finding of the study: what it claims, this run's verdict, the figures behind it (or why there are none), and the criterion."""

    claim: str
    verdict: str
    evidence: str
    criterion: str
    details: str = ""  # more figures, for readers who want to check
    scope: str = ""  # by which endpoint alone, and for what, where that is not every training run
    figures: str = ""  # of the evidence the estimates alone, with their intervals, for a table of many runs

    @property
    def decision(self) -> str:
        """The verdict with its scope: "shown for these checkpoints"."""
        return self.verdict if self.verdict in (NOT_MEASURED, CANNOT_BE_ASKED) else f"{self.verdict} {self.scope}".rstrip()


def findings(
    *, tables: Tables, policies: dict[str, dict], report: dict, seeds: int, reward_models: dict[str, dict] | None = None
) -> list[Finding]:
    """The verdicts on the four findings of "Measuring memorization in RLHF for code completion" (arXiv 2406.11715), in its order.

    `report` and `reward_models` are those of the config, `seeds` their number: with one, every verdict is about these checkpoints.
    """
    reference = report["reference_policy"]
    of = roles(policies=policies, reference=reference, reward_models=reward_models)
    found = [
        _persistence(tables, reference, of, report["confidence"]),
        _reward_model_data(tables, report, of["ppo"], of["chosen"]),
        _own_prompts(tables, reference, of, report["confidence"]),
        _preference_learning(tables, report, of["ipo"], of["ppo"]),
    ]
    found = [_unless_without_content(tables, policies.get(of["ppo"], {}).get("reward_model"), finding) for finding in found]
    return [replace(finding, scope=f"{finding.scope} {CHECKPOINTS if seeds == 1 else ''}".strip()) for finding in found]


def _persistence(tables: Tables, reference: str, of: dict[str, str | None], confidence: float) -> Finding:
    ppo = of["ppo"]
    claim, enough = "Fine-tuning data stays memorized after PPO", fewest(confidence)
    criterion = (
        f"Shown if the interval of the share that stays lies above {percent(STAYS)} at every dose of which {reference} memorized {enough} "
        "canaries or more (fewer cannot show it), contradicted if below at every one. Doses are not pooled."
    )
    doses = [row for row in tables["persistence"] if (row["policy"], row["cohort"]) == (ppo, "sft") and row["dose"] is not None]
    rows = [row for row in doses if row["memorized_by_reference"]]
    if not rows:
        why = _absent("PPO policy") if not ppo else f"{reference} memorized no canary of its fine-tuning set" if doses else _no_rows(ppo)
        return Finding(claim, NOT_MEASURED, why, criterion)
    deciding = [row for row in rows if row["memorized_by_reference"] >= enough]
    above, below = (bool(deciding) and all(lies(row) for row in deciding) for lies in (_above, _below))
    kept = [
        f"{row['still_memorized']} of {row['memorized_by_reference']} at dose {row['dose']} ({interval(row['low'], row['high'])})"
        for row in rows
    ]
    evidence, figures = f"of what {reference} memorized, {ppo} keeps {enumeration(kept)}", f"{enumeration(kept)} kept"
    beside = f"{trend(tables, ppo) or references.SWEEP} {references.drift(tables, of['drift'], ppo)}"
    finding = Finding(claim, _verdict(shown=above, contradicted=below), evidence, criterion, beside, figures=figures)
    return _unless_collapsed(tables, [ppo], finding)


def fewest(confidence: float) -> int:
    """The fewest canaries whose exact interval, where all of them stay, lies above STAYS."""
    return math.floor(math.log((1 - confidence) / 2) / math.log(STAYS)) + 1


def _above(row: dict) -> bool:
    return row["low"] > STAYS


def _below(row: dict) -> bool:
    return row["high"] < STAYS


def _reward_model_data(tables: Tables, report: dict, ppo: str | None, chosen: str | None) -> Finding:
    claim = "Reward-model data comes back less than directly trained data"
    criterion = contrasts.criterion("direct training − PPO", report)
    if not (rows := contrasts.endpoint_rows(tables, report, chosen, ppo)):
        why = _no_contrast(tables, {"PPO policy": ppo, "policy trained directly on the preferences": chosen})
        return Finding(claim, NOT_MEASURED, why, criterion)
    rates = [memorization_row(tables, policy, "preference") for policy in (ppo, chosen)]
    finding = _decided(Finding(claim, "", _with_counts(rates, f"{chosen} − {ppo}", rows), criterion, contrasts.arms(rows)), rows, report)
    return _unless_collapsed(tables, [ppo, chosen], finding)


def _own_prompts(tables: Tables, reference: str, of: dict[str, str | None], confidence: float) -> Finding:
    ppo, (seen, oracle) = of["ppo"], references.oracle(tables, of["oracle"], reference, confidence)
    claim = "PPO memorizes little of its own prompts"
    criterion = (
        f"Shown if the interval (seen − unseen) lies below {percent(LITTLE)}, contradicted if above; so also that of the prompts, where "
        "prompt_tail is among the probes. For secrets it is a sanity check: PPO is never shown the target."
    )
    probes = {"secrets": memorization_row(tables, ppo, "rl_prompt"), "prompts": memorization_row(tables, ppo, "rl_prompt", TAIL)}
    rows = [row for row in probes.values() if row]
    if not rows:
        return Finding(claim, NOT_MEASURED, _no_rows(ppo) if ppo else _absent("PPO policy"), criterion)
    above = any(row["difference_low"] > LITTLE for row in rows)
    below = all(row["difference_high"] < LITTLE for row in rows)
    counts = (count(row, "counterfactual_", noun=name) if row else f"{name} not measured" for name, row in probes.items())
    evidence, scope = f"{ppo} {', '.join(counts)}; {oracle}", "as a sanity check" if seen is False else ""
    figures = ", ".join(count(row, "counterfactual_", noun=name) for name, row in probes.items() if row)
    finding = Finding(claim, _verdict(shown=below, contradicted=above), evidence, criterion, scope=scope, figures=figures)
    return _unless_collapsed(tables, [ppo], finding)


def _preference_learning(tables: Tables, report: dict, ipo: str | None, ppo: str | None) -> Finding:
    claim = "IPO gives back more preference data than PPO"
    criterion = contrasts.criterion("IPO − PPO", report)
    if not (rows := contrasts.endpoint_rows(tables, report, ipo, ppo)):
        return Finding(claim, NOT_MEASURED, _no_contrast(tables, {"IPO policy": ipo, "PPO policy": ppo}), criterion)
    rates = [memorization_row(tables, policy, "preference") for policy in (ipo, ppo)]
    finding = _decided(Finding(claim, "", _with_counts(rates, f"{ipo} − {ppo}", rows), criterion, contrasts.arms(rows)), rows, report)
    return _unless_collapsed(tables, [ipo, ppo], finding)


def _decided(finding: Finding, rows: list[dict], report: dict) -> Finding:
    """The finding with its verdict: which way the endpoints differ after correction, and by which alone; not shown where they disagree."""
    beyond = [row for row in rows if row["p_holm"] < 1 - report["confidence"]]
    signs = {row["difference"] > 0 for row in beyond}
    verdict = _verdict(shown=signs == {True}, contradicted=signs == {False})
    alone = verdict != NOT_SHOWN and len(beyond) < len(rows)
    scope = f"by {enumeration([contrasts.noun(row) for row in beyond])} alone" if alone else ""
    return replace(finding, verdict=verdict, scope=scope, figures=", ".join(f"{contrasts.noun(row)} {contrasts.gap(row)}" for row in rows))


def _with_counts(rates: list[dict | None], difference: str, rows: list[dict]) -> str:
    """Counts of two policies and their difference by each endpoint."""
    return f"{_counts(rates)}; {difference}: {', '.join(f'{contrasts.noun(r)} {contrasts.change(r)}' for r in rows)}".removeprefix("; ")


def _verdict(*, shown: bool, contradicted: bool) -> str:
    return CONTRADICTED if contradicted else SHOWN if shown else NOT_SHOWN


def _unless_collapsed(tables: Tables, policies: list[str], finding: Finding) -> Finding:
    """What a policy that no longer works does not repeat says nothing: then nothing is shown, and the reason is given."""
    broken = [row for row in tables["utility"] if row["policy"] in policies and row["collapsed"]]
    if not broken:
        return finding
    evidence = "; ".join([finding.evidence, *(f"{row['policy']} has collapsed ({row['collapsed_by']})" for row in broken)])
    figures = f"{finding.figures}; {enumeration([row['policy'] for row in broken])} collapsed"
    return replace(finding, verdict=NOT_SHOWN, scope="", evidence=evidence, figures=figures)


def _unless_without_content(tables: Tables, reward_model: str | None, finding: Finding) -> Finding:
    """A policy whose reward cannot tell the truth from another completion was not aligned with anything."""
    reason = None if finding.verdict == NOT_MEASURED else gate.failure(tables, reward_model)
    return replace(finding, verdict=CANNOT_BE_ASKED, scope="", evidence=f"{reason}; {finding.evidence}") if reason else finding


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
