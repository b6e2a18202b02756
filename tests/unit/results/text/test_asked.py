"""What can be asked of a run stands first: gate, what was learnt of the reward, power, placebo and the share of canaries, each with its mark."""

import pytest

from tests.unit.results import study
from tests.unit.results.text.test_gate import POLICIES
from tests.unit.results.text.test_gate import tables as gated
from workflow_scripts.core.results.text.asked import asked, canary_share


def lines(tables: dict) -> dict:
    return {line.claim: line for line in asked(tables=tables, policies=POLICIES, report=study.REPORT)}


def test_a_run_of_which_everything_can_be_asked():
    found = lines(study.tables())
    assert list(found) == ["Reward gate", "Reward learnt", "Power", "Placebo", "Share of canaries"]
    assert [line.verdict for line in found.values()] == ["● passed", "● passed", "– to know", "● passed", "● passed"]
    assert found["Reward gate"].evidence.endswith("so it carries content.")
    assert found["Reward learnt"].evidence == "reward over sft's on completions sampled for held-out code: ppo +0.20 (+0.10 to +0.30)."
    assert "power of 80 % is 11 points in extraction and 0.66 nats per token in likelihood; " in found["Power"].evidence
    assert found["Placebo"].evidence.startswith("of 9 contrasts on canaries that neither arm saw, 0 (0 %, 0–34 %) have p < 0.05")
    assert found["Share of canaries"].evidence == "canaries are at most 15 % of the rows that any stage trains on."


def test_what_fails_is_marked():
    tables = gated(passes=False, low=0.49)
    for row in tables["contrast"]:
        row |= {"p": 0.01} if row["placebo"] else {"minimum_detectable": 0.2 if row["policy"] == "ipo" else row["minimum_detectable"]}
    for row in tables["audit"]:
        row |= {"canary_share": 0.41} if row["stage"] == "ipo" else {}
    for row in tables["on_policy"]:
        row |= {"reward_gain_low": -0.1} if row["policy"] == "ppo" else {}
    found = lines(tables)
    assert [line.verdict for line in found.values()] == ["? failed", "✕ failed", "– to know", "✕ failed", "✕ failed"]
    assert found["Reward learnt"].evidence.endswith("(−0.10 to +0.30); what is said of ppo is said of training that raised no reward.")
    assert "is 11 to 20 points in extraction" in found["Power"].evidence
    assert "more than 15 % of the rows that train ipo (41 %)" in found["Share of canaries"].evidence


@pytest.mark.parametrize(("share", "within"), [(0.15, True), (0.1501, False)])
def test_fifteen_percent_is_still_little(share, within):
    assert canary_share({"audit": [dict(stage="sft", canary_share=share)]})[0] is within


def test_what_the_run_lacks_is_not_said():
    tables = {name: [] for name in study.tables()}
    assert asked(tables=tables, policies={"sft": {"method": "sft"}}, report=study.REPORT) == []
