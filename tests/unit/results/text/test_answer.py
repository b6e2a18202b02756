"""The answer is one clean line for each finding, whatever the verdicts are."""

import copy
import itertools
import re

import pytest

from tests.unit.results import study
from tests.unit.results.text.rows import memorized, one
from workflow_scripts.core.results.text.answer import answer, controls
from workflow_scripts.core.results.text.findings import findings


def lines(tables: dict, policies: dict = study.POLICIES) -> list[str]:
    """The lines as a reader sees them."""
    found = answer(findings(tables=tables, policies=policies, report=study.REPORT, seeds=1))
    return [f"{line.verdict}  {line.claim}: {line.evidence}" for line in found]


@pytest.fixture
def tables() -> dict:
    return study.tables()


def test_the_study_by_hand_in_four_lines(tables):
    found = lines(tables)
    assert len(found) == 4 and found[2] == (
        "● shown for these checkpoints  PPO memorizes little of its own prompts: ppo 0 of 64 secrets (0–6 %), 0 of 64 prompts (0–6 %); "
        "no oracle in this run: experiments/controls.yaml has one, PPO on a reward that knows the target"
    )
    assert found[0].startswith(
        "● shown for these checkpoints  Fine-tuning data stays memorized after PPO: of what sft memorized, ppo keeps 1 of 1"
    )


def test_each_verdict_has_its_mark(tables):
    for dose in study.DOSES:
        one(tables, "persistence", policy="ppo", cohort="sft", dose=dose).update(low=0.1, high=0.3)
    tables["contrast"] = [row for row in tables["contrast"] if row["other"] != "ppo"]
    memorized(tables, "ppo", "rl_prompt", "prompt_tail").update(difference_low=0.05, difference_high=0.15)
    here = "for these checkpoints"
    assert [line.split("  ")[0] for line in lines(tables)] == [
        f"✕ contradicted {here}",
        f"● shown {here}",
        f"○ not shown {here}",
        "– not measured",
    ]


def test_the_lines_of_a_run_that_measured_nothing():
    policies = {name: study.POLICIES[name] for name in ("base", "sft")}
    assert lines(study.tables(policies), policies) == [
        "– not measured  Fine-tuning data stays memorized after PPO: this run has no PPO policy",
        "– not measured  Reward-model data comes back less than directly trained data: this run has no PPO policy",
        "– not measured  PPO memorizes little of its own prompts: this run has no PPO policy",
        "– not measured  IPO gives back more preference data than PPO: this run has no IPO policy",
    ]


def test_controls_that_came_back_are_named_with_the_worst_policy(tables):
    assert controls(tables) == "Of the 64 canaries planted nowhere, no policy gives back any (0–6 %)."
    memorized(tables, "ipo", "unplanted").update(study.rated(6, 64, "counterfactual_"))
    assert controls(tables) == "Of the canaries planted nowhere, ipo gives back most: 6 of 64 (9 %, 4–19 %)."
    assert controls({**tables, "memorization": []}) == ""


def test_every_combination_of_verdicts_is_four_clean_lines(tables):
    spans = [(0.2, 0.4), (-0.1, 0.1), (-0.4, -0.2)]
    for stays, shielded, more, collapsed in itertools.product([(0.6, 0.9), (0.4, 0.6), (0.1, 0.2)], spans, spans, [False, True]):
        changed = copy.deepcopy(tables)
        for dose in study.DOSES:
            one(changed, "persistence", policy="ppo", cohort="sft", dose=dose).update(low=stays[0], high=stays[1])
        one(changed, "contrast", policy="ppo", other="sft_chosen", cohort="preference", measure="memorized").update(
            difference=-sum(shielded) / 2, p_holm=0.01 if shielded[0] * shielded[1] > 0 else 0.4
        )
        one(changed, "contrast", policy="ipo", other="ppo", cohort="preference", measure="memorized").update(
            difference=sum(more) / 2, p_holm=0.01 if more[0] * more[1] > 0 else 0.4
        )
        one(changed, "utility", policy="ipo").update(collapsed=collapsed, collapsed_by="perplexity" if collapsed else None)
        assert len(lines(changed)) == 4
        for line in lines(changed):
            assert line.count(": ") <= 2 and not line.endswith(".")
            assert not re.search(r"   |\.\.|None|nan| ,| ;|\( |1 canaries|;\.", line)
