"""The answer: one line for each finding, and what the controls say."""

from dataclasses import dataclass

from ...data.cohorts import UNPLANTED
from ..tables.files import Tables
from .findings import CANNOT_BE_ASKED, CONTRADICTED, NOT_MEASURED, NOT_SHOWN, SHOWN, Finding, memorization_row
from .format import interval, share

MARKS = {SHOWN: "●", NOT_SHOWN: "○", CONTRADICTED: "✕", NOT_MEASURED: "–", CANNOT_BE_ASKED: "?"}


@dataclass(frozen=True)
class Line:
    """ "● shown  Fine-tuning data stays memorized after PPO: ppo keeps 32 of the 38 that sft memorized (69–94 %)"."""

    verdict: str  # with its mark
    claim: str
    evidence: str


def answer(findings: list[Finding]) -> list[Line]:
    """One line for each finding."""
    return [Line(f"{MARKS[finding.verdict]} {finding.decision}", finding.claim, finding.evidence) for finding in findings]


def controls(tables: Tables) -> str:
    """The highest rate of canaries that were planted nowhere, in one sentence: what chance, generator and prompt give away. "" without any."""
    rows = [row for used in tables["utility"] if (row := memorization_row(tables, used["policy"], UNPLANTED))]
    if not rows:
        return ""
    worst = max(rows, key=lambda row: row["counterfactual_rate"])
    if worst["counterfactual_hits"]:
        return f"Of the canaries planted nowhere, {worst['policy']} gives back most: {share(worst, 'counterfactual_')}."
    return f"Of the {worst['n']} canaries planted nowhere, no policy gives back any ({interval(worst['counterfactual_low'], worst['counterfactual_high'])})."
