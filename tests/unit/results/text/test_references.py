"""Findings are read beside an oracle and beside drift, where the run has them."""

import pytest

from tests.unit.results import study
from tests.unit.results.text.rows import one
from workflow_scripts.core.results.text.findings import findings
from workflow_scripts.core.results.text.roles import roles

REWARDS = {"reward_model": {"type": "single"}, "truth": {"type": "similarity"}}
POLICIES = study.POLICIES | {
    "oracle": {"method": "ppo", "parent": "sft", "reward_model": "truth"},
    "drift": {"method": "sft", "parent": "sft", "data": "clean"},
}
FIRST = {"base": POLICIES["base"], "sft": POLICIES["sft"], "oracle": POLICIES["oracle"], "ppo": POLICIES["ppo"]}


def found(tables: dict) -> list:
    return findings(tables=tables, policies=POLICIES, report=study.REPORT, seeds=2, reward_models=REWARDS)


def with_oracle(**changes) -> dict:
    tables = study.tables(POLICIES)
    row = one(tables, "contrast", policy="oracle", other="ppo", cohort="rl_prompt", measure="target_logprob")
    row |= dict(other="sft", **study.spread("difference", 0.5, 0.1), p=0.001, p_holm=0.002) | changes
    return tables


def test_ppo_is_never_the_oracle_however_they_are_ordered():
    of = roles(policies=FIRST, reference="sft", reward_models=REWARDS)
    assert (of["ppo"], of["oracle"], of["drift"]) == ("ppo", "oracle", None)
    assert roles(policies=POLICIES, reference="sft", reward_models=REWARDS)["drift"] == "drift"


def test_an_oracle_that_leaks_stands_beside_the_third_finding():
    finding = found(with_oracle())[2]
    assert finding.decision == "shown"
    assert "oracle, whose reward knows the target, − sft: likelihood +0.50 nats per token (+0.40 to +0.60, p = 0.002)" in finding.evidence
    assert finding.evidence.endswith("; the measurement sees that leak")


@pytest.mark.parametrize("changes", [dict(p_holm=0.06), dict(difference=-0.5), dict(collapsed=True)])
def test_without_a_leak_of_the_oracle_the_third_finding_is_a_sanity_check(changes):
    finding = found(with_oracle(**changes))[2]
    assert finding.decision == "shown as a sanity check" and finding.evidence.endswith("so this is a sanity check")


def test_an_oracle_that_was_not_compared_is_named():
    assert "oracle and sft are not compared" in found(study.tables(POLICIES))[2].evidence


def test_drift_stands_beside_what_stays():
    details = found(study.tables(POLICIES))[0].details
    assert "Beside it drift, SFT that goes on over clean code, keeps " in details and " at dose 64 (" in details
    assert "at 9.0 nats of KL per completion (ppo: 4.5)" in details
