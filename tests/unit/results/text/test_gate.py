"""Where the reward carries no content, no verdict on policies that are trained with it is given, and the reason is."""

import pytest

from tests.unit.results import study
from workflow_scripts.core.results.text.findings import CANNOT_BE_ASKED, SHOWN, findings
from workflow_scripts.core.results.text.gate import judged

POLICIES = {
    name: {**policy, "reward_model": "reward_model"} if policy["method"] == "ppo" else policy for name, policy in study.POLICIES.items()
}
REPORT = dict(reference_policy="sft", confidence=0.95, contrasts=None, endpoints=["memorized", "target_logprob"])


def tables(**changes) -> dict:
    """The study's tables, the gate's row of arm B changed."""
    found = study.tables()
    rows = [row | (changes if (row["arm"], row["pairs"]) == ("B", "matched") else {}) for row in found["reward_accuracy"]]
    return {**found, "reward_accuracy": rows}


def verdicts(tables: dict) -> list:
    return findings(tables=tables, policies=POLICIES, report=REPORT, seeds=1)


def test_a_reward_with_content_leaves_the_verdicts_alone():
    before = findings(tables=study.tables(), policies=study.POLICIES, report=REPORT, seeds=1)
    assert verdicts(tables()) == before and SHOWN in [v.verdict for v in before]
    ((passed, said),) = judged(tables=tables(), policies=POLICIES)
    assert passed and said.startswith("reward_model prefers the truth in 65 % of 200 in arm A (58–72 %) and 65 % of 200 in arm B")
    assert said.endswith("so it carries content")


@pytest.mark.parametrize("changes", [dict(passes=False, low=0.49), dict(passes=False, n=0, accuracy=None, low=None, high=None)])
def test_one_arm_without_content_is_enough(changes):
    found = verdicts(tables(**changes))
    assert all(v.verdict == CANNOT_BE_ASKED == v.decision for v in found)
    assert all("reward_model prefers the truth in 65 %" in v.evidence and "which is not above chance; " in v.evidence for v in found)
    ((passed, said),) = judged(tables=tables(**changes), policies=POLICIES)
    assert not passed and "no verdict on policies trained with it can be asked of this run" in said


def test_ties_are_said():
    ((_, said),) = judged(tables=tables(ties=7), policies=POLICIES)
    assert "65 % of 200 in arm B (58–72 %, and does not tell 7 more apart)" in said


def test_no_reward_no_gate():
    assert judged(tables=study.tables(), policies={"sft": {"method": "sft"}}) == []
