"""Models that memorized a known set, from their completions to every table: what was built in comes out, and nothing else.

A policy that gives back a known set is trained until it is certain of it, on prompts and targets alone; the other arm's has the
other half. One that was never trained has nothing to give back.
"""

import copy
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.conftest import PROBES
from tests.unit.small import scratch
from workflow_scripts.core.data import canaries, reference_fillings
from workflow_scripts.core.data.cohorts import HALF_OF_ARM
from workflow_scripts.core.probing import policy, prompts
from workflow_scripts.core.probing import rows as probing_rows
from workflow_scripts.core.results.tables import (
    contrast,
    exposure,
    extraction_probability,
    membership,
    memorization,
    persistence,
    recovery,
    reward_gap,
)

# mistakes of public tools, and the tests that fail where the project makes one of them
MISTAKES = {
    "likelihood slice off by one between prompt and target": (
        "unit/probing/test_probes.py::test_likelihoods_equal_those_of_one_unpadded_sequence",
        "unit/probing/test_probes.py::test_position_t_predicts_token_t_plus_1",
    ),
    "an all-wrong completion scores, as for a target of one token": (
        "unit/probing/test_probes.py::test_one_token_target_all_wrong_scores_nothing",
    ),
    "case, indentation or punctuation stripped before matching": ("unit/probing/test_measures.py::test_edit_distance",),
    "(n, p) outside log space": (
        "unit/results/tables/test_extraction_probability.py::test_it_is_one_minus_q_to_the_n_in_a_hundred_digits",
    ),
    "members compared with ordinary text": (
        "unit/test_validity.py::test_members_are_told_from_twins_and_strangers_where_there_is_something_to_tell",
    ),
    "a truncated output taken as done": (
        "unit/test_parquet.py::test_truncated_file",
        "workflow/test_during_a_run.py::test_killed_job_leaves_nothing_that_counts",
    ),
    "downstream stages started although upstream failed": ("workflow/test_during_a_run.py::test_nothing_follows_a_stage_that_failed",),
    "a failed sample scored as 0 or skipped": ("unit/probing/test_probes.py::test_an_item_that_fails_fails_the_job",),
    "IPO on summed log-ratios without saying so": (
        "unit/training/test_trainer.py::test_ipo_loss_is_the_formula_with_log_ratios_averaged_over_tokens",
    ),
    "the shape of a batch changes the answer": (
        "unit/probing/test_probes.py::test_greedy_completions_are_the_same_at_batch_1_8_and_64",
        "unit/results/tables/test_parity.py::test_parity_counts_items_that_change",
    ),
    "the same poison in two stages": ("unit/data/test_canaries.py::test_cohorts_are_disjoint_and_as_large_as_asked",),
    "canaries that were never in the batches": ("unit/data/test_audit.py::test_the_other_arm_fails_in_every_cohort",),
}
COHORTS = dict(sft=16, preference=16, rl_prompt=16, unplanted=16)
FILLINGS = 15
FROM_DOSE = 3  # canaries of the sft cohort with at least this dose are memorized by the arm of their half
UTILITY = [dict(policy=name, collapsed=False) for name in ("untrained", "knowing")]


@pytest.fixture(scope="module")
def design(model_words):
    tokenizer, fim = model_words
    rows = canaries.make(cohorts=COHORTS, doses=[1, 3], secret_types=["path", "key"], seed=0, tokenizer=tokenizer, fim=fim)
    return rows, reference_fillings.draw(canaries=rows, count=FILLINGS, seed=0, tokenizer=tokenizer)


def is_known(canary: dict) -> bool:
    return canary["cohort"] == "sft" and canary["dose"] >= FROM_DOSE


def learn(model, fim, known: list[dict]) -> None:
    """Train until every token of the known targets is all but certain."""
    sequences = [c["prompt_ids"] + c["target_ids"] + [fim.end] for c in known]
    width = max(map(len, sequences))
    ids = torch.tensor([s + [fim.pad] * (width - len(s)) for s in sequences])
    answers = [[-100] * len(c["prompt_ids"]) + c["target_ids"] + [fim.end] for c in known]
    labels = torch.tensor([a + [-100] * (width - len(a)) for a in answers])
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=3e-2)
    for _ in range(2000):
        loss = model(input_ids=ids, labels=labels).loss
        if loss < 1e-3:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    raise AssertionError(f"the known targets were not learnt: loss {loss}")


@pytest.fixture(scope="module")
def extraction(design, model_words) -> pd.DataFrame:
    """Rows of both policies in both arms."""
    rows, fillings = design
    tokenizer, fim = model_words
    torch.manual_seed(0)
    untrained = scratch(tokenizer, fim)
    items = prompts.items(canaries=rows, prompts=["fim", "prompt_tail"], fim=fim)
    options = dict(tokenizer=tokenizer, fim=fim, items=items, role="canary", settings=PROBES, batch_size=32, desc="")
    options |= dict(fillings={i: [c["target_ids"], *f["fillings"]] for i, (c, f) in enumerate(zip(rows, fillings, strict=True))})
    compared = {i: [[*ids, fim.end] for ids in of[:2]] for i, of in options["fillings"].items()}
    options |= dict(pairs=compared, reference=untrained)
    extracted = []
    for arm, half in HALF_OF_ARM.items():
        knowing = copy.deepcopy(untrained)
        learn(knowing, fim, [c for c in rows if is_known(c) and c["half"] == half])
        rewards = {c["canary_id"]: dict(reward=float(c["half"] == half)) for c in rows}
        for name, model in (("untrained", untrained), ("knowing", knowing)):
            probed, chain = policy.probe(model=model, **options), dict(policy=name, arm=arm, seed=0)
            extracted += probing_rows.extraction(probed=probed, canaries=rows, rewards=rewards, threshold=0.1, **chain)
    return pd.DataFrame(extracted)


@pytest.mark.parametrize("tests", MISTAKES.values(), ids=MISTAKES)
def test_every_mistake_has_its_test(tests):
    for test in tests:
        file, name = test.split("::")
        source = (Path(__file__).parents[1] / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {name}\(", source, re.MULTILINE), f"{test} is not there"


def cell(table: list[dict], **where) -> dict:
    (row,) = [r for r in table if all(r[k] == v for k, v in where.items())]
    return row


@pytest.mark.parametrize(
    ("cohort", "dose", "hits"),
    [("sft", 3, 8), ("sft", 1, 0), ("sft", None, 8), ("preference", None, 0), ("rl_prompt", 3, 0), ("unplanted", None, 0)],
)
def test_what_was_built_in_is_what_is_counted(extraction, cohort, dose, hits):
    table = memorization.summarize(extraction=extraction, shown={}, utility=UTILITY, confidence=0.95)
    known = cell(table, policy="knowing", cohort=cohort, dose=dose, probe="fim")
    assert (known["hits"], known["counterfactual_hits"], known["control_hits"]) == (hits, hits, 0)
    for nothing in (dict(policy="untrained", probe="fim"), dict(policy="knowing", probe="prompt_tail")):
        assert cell(table, cohort=cohort, dose=dose, **nothing)["hits"] == 0


def test_all_of_what_is_known_persists_and_none_of_the_rest_is_lost(extraction):
    again = pd.concat([extraction, extraction[extraction["policy"] == "knowing"].assign(policy="later")])
    utility = [*UTILITY, dict(policy="later", collapsed=False)]
    kept = cell(
        persistence.summarize(extraction=again, shown={}, utility=utility, references={"later": "knowing"}, confidence=0.95),
        cohort="sft",
        dose=None,
    )
    assert (kept["memorized_by_reference"], kept["still_memorized"], kept["lost"], kept["gained"]) == (8, 8, 0, 0)


def test_the_policies_differ_by_what_one_of_them_knows(extraction):
    table = contrast.summarize(extraction=extraction, utility=UTILITY, contrasts=[("knowing", "untrained")], endpoints=[], confidence=0.95)
    for cohort in COHORTS:
        row = cell(table, cohort=cohort, measure="memorized")
        assert (row["n"], row["difference"]) == (16, 0.5 if cohort == "sft" else 0.0)
        assert (row["p"] < 0.01) == (row["difference_low"] > 0) == (cohort == "sft")


def test_known_secrets_outrank_every_filling_and_others_are_anywhere(extraction):
    table = exposure.summarize(extraction=extraction, shown={}, utility=UTILITY, confidence=1 - 0.05 / 9)  # nine intervals are looked at
    known = cell(table, policy="knowing", cohort="sft", dose=3)
    assert known["mean"] == known["cap"] == 4.0 == np.log2(FILLINGS + 1) and known["at_cap_hits"] == 8
    chance = np.mean(np.log2(FILLINGS + 1) - np.log2(np.arange(1, FILLINGS + 2)))
    assert known["control_low"] <= chance <= known["control_high"] and known["difference_low"] > 0
    for cohort in COHORTS:
        untrained = cell(table, policy="untrained", cohort=cohort, dose=None)
        assert (
            untrained["mean_low"] <= chance <= untrained["mean_high"] and untrained["difference_low"] <= 0 <= untrained["difference_high"]
        )


def test_one_sample_is_enough_for_what_is_known_and_a_thousand_are_not_for_the_rest(extraction):
    options = dict(extraction=extraction, shown={}, utility=UTILITY, confidence=0.95, extraction_n=[1, 1000], extraction_p=[0.5])
    table = extraction_probability.summarize(**options)
    known = cell(table, policy="knowing", cohort="sft", dose=3, extraction_n=1)
    assert (known["n"], known["hits"], known["control_hits"]) == (8, 8, 0)
    for cohort in COHORTS:
        assert cell(table, policy="untrained", cohort=cohort, dose=None, extraction_n=1000)["hits"] == 0


@pytest.fixture(scope="module")
def separations(extraction) -> list[dict]:
    """The membership table; 49 of its intervals are looked at."""
    return membership.summarize(extraction=extraction, shown={}, utility=UTILITY, confidence=1 - 0.05 / 49, fpr=0.01)


@pytest.mark.parametrize("score", membership.SCORES)
def test_members_are_told_from_twins_and_strangers_where_there_is_something_to_tell(separations, score):
    table = [row for row in separations if row["score"] == score]
    for against in ("twins", "unplanted"):
        known = cell(table, policy="knowing", cohort="sft", dose=3, against=against)
        assert known["auc"] > 0.9 and known["tpr"] == 1.0
        for cohort in COHORTS:
            if (cohort, against) == ("unplanted", "unplanted"):
                continue
            untrained = cell(table, policy="untrained", cohort=cohort, dose=None, against=against)
            assert untrained["auc_low"] <= 0.5 <= untrained["auc_high"] and untrained["tpr"] <= 0.2
            assert against == "unplanted" or untrained["auc"] == 0.5, "both arms have the same untrained model"


def test_all_characters_of_what_is_known_come_back(extraction):
    table = recovery.summarize(extraction=extraction, shown={}, utility=UTILITY, confidence=0.95)
    for measure in ("recovered", "longest_substring"):
        known = cell(table, policy="knowing", cohort="sft", dose=3, measure=measure)
        assert known["mean"] == 1.0 and known["control"] < 0.9


def test_reward_gap_is_the_one_that_was_built_in(extraction):
    of_reference = extraction[extraction["policy"] == "knowing"]
    gap = cell(
        reward_gap.summarize(extraction=of_reference, shown={}, reward_model="reward_model", confidence=0.95),
        cohort="preference",
        dose=None,
    )
    assert (gap["mean"], gap["control"], gap["difference"], gap["auc"]) == (1.0, 0.0, 1.0, 1.0)
