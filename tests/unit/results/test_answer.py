"""Sentences and verdicts say what the intervals say, at their edges too, and are right for none, one and many."""

import copy
import itertools
import re

import pytest

from tests.unit.results import study
from workflow_scripts.core.results import answer, findings
from workflow_scripts.core.results.findings import CONTRADICTED, NOT_MEASURED, NOT_SHOWN, SHOWN


def verdicts(tables: dict, policies: dict = study.POLICIES) -> list[str]:
    return [f.verdict for f in findings.findings(tables=tables, policies=policies, reference="sft")]


def sentences(tables: dict, policies: dict = study.POLICIES, **settings) -> list[str]:
    return answer.answer(tables=tables, policies=policies, reference="sft", confidence=0.95, **settings)


def one(tables: dict, table: str, **wanted) -> dict:
    """The row of a table with these values."""
    (row,) = [r for r in tables[table] if all(r[k] == v for k, v in wanted.items())]
    return row


def memorized(tables: dict, policy: str, cohort: str, probe: str = "fim") -> dict:
    return one(tables, "memorization", policy=policy, cohort=cohort, probe=probe, dose=None)


@pytest.fixture
def tables() -> dict:
    return study.tables()


def test_the_study_by_hand_in_three_sentences(tables):
    assert sentences(tables) == [
        "What fine-tuning taught stays after PPO: of the 64 canaries in its fine-tuning set sft memorized 38 (59 %, 95 % interval 46–71 %), "
        "and ppo keeps 32 of these (84 %, 69–94 %).",
        "What only the reward model saw comes back less than what a policy is trained on directly: of the 64 canaries in the preference pairs "
        "ppo gives back none (0–6 %), sft_chosen 34 (53 %, 40–66 %) and ipo 9 (14 %, 7–25 %); sft_chosen − ppo is +55 points (+48 to +62) and "
        "ipo − ppo is +14 points (+10 to +18), and that ipo gives back more than ppo is shown; by likelihood ipo knows more of them than ppo, "
        "+0.8 bits (+0.6 to +1.1) of exposure.",
        "PPO memorizes little of its own prompts: of the 64 canaries in its prompts ppo gives back the secret of none (0–6 %) and the rest of "
        "the prompt of none (0–6 %); of the 64 planted nowhere no policy gives back any (0–6 %).",
    ]
    assert verdicts(tables) == [SHOWN] * 4


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (0.8, 0.6, 1.1, "; by likelihood ipo knows more of them than ppo, +0.8 bits (+0.6 to +1.1) of exposure."),
        (-0.8, -1.1, -0.6, "; by likelihood ipo knows less of them than ppo, −0.8 bits (−1.1 to −0.6) of exposure."),
        (0.8, -0.1, 1.7, "is shown."),
    ],
)
def test_likelihood_is_mentioned_where_its_interval_says_so(tables, value, low, high, said):
    wanted = dict(policy="ipo", other="ppo", cohort="preference", measure="exposure")
    one(tables, "contrast", **wanted).update(difference=value, difference_low=low, difference_high=high)
    assert sentences(tables)[1].endswith(said)
    assert (
        f"in exposure {value:+.1f} bits".replace("-", "−")
        in findings.findings(tables=tables, policies=study.POLICIES, reference="sft")[3].figures
    )


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.51, 0.9, SHOWN), (0.5, 0.9, NOT_SHOWN), (0.2, 0.8, NOT_SHOWN), (0.1, 0.5, NOT_SHOWN), (0.1, 0.49, CONTRADICTED)],
)
def test_what_stays_is_decided_by_the_interval_alone(tables, low, high, verdict):
    one(tables, "persistence", policy="ppo", cohort="sft").update(low=low, high=high)
    assert verdicts(tables)[0] == verdict
    assert sentences(tables)[0].startswith(answer._FINE_TUNING[verdict] + ": ")


@pytest.mark.parametrize(
    ("difference", "ppo_high", "verdict"),
    [
        ((0.01, 0.6), 0.3, SHOWN),
        ((0.0, 0.6), 0.3, NOT_SHOWN),  # the interval touches 0
        ((0.01, 0.6), 0.45, NOT_SHOWN),  # the rates' intervals overlap
        ((-0.2, 0.3), 0.1, NOT_SHOWN),
        ((-0.2, -0.01), 0.1, CONTRADICTED),
        ((-0.2, 0.0), 0.1, NOT_SHOWN),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_shielding_needs_the_difference_and_rates_apart_and_a_turned_contrast_means_the_same(tables, difference, ppo_high, verdict, turned):
    memorized(tables, "ppo", "preference")["counterfactual_high"] = ppo_high
    memorized(tables, "sft_chosen", "preference")["counterfactual_low"] = 0.4
    row = one(tables, "contrast", policy="ppo", other="sft_chosen", cohort="preference", measure="memorized")
    low, high = difference
    row.update(difference=-(low + high) / 2, difference_low=-high, difference_high=-low)
    if turned:
        row.update(policy="sft_chosen", other="ppo", difference=(low + high) / 2, difference_low=low, difference_high=high)
    assert verdicts(tables)[1] == verdict


@pytest.mark.parametrize(
    ("secret", "tail", "verdict"),
    [
        ((0.0, 0.09), (0.0, 0.09), SHOWN),
        ((0.0, 0.09), (0.0, 0.1), NOT_SHOWN),
        ((0.0, 0.3), (0.0, 0.05), NOT_SHOWN),
        ((0.1, 0.3), (0.0, 0.05), NOT_SHOWN),
        ((0.0, 0.05), (0.11, 0.3), CONTRADICTED),
        ((0.11, 0.3), (0.0, 0.05), CONTRADICTED),
    ],
)
def test_little_is_below_a_tenth_under_both_probes(tables, secret, tail, verdict):
    for probe, (low, high) in (("fim", secret), ("prompt_tail", tail)):
        memorized(tables, "ppo", "rl_prompt", probe).update(counterfactual_low=low, counterfactual_high=high)
    assert verdicts(tables)[2] == verdict


def test_little_is_not_shown_where_a_probe_was_left_out(tables):
    tables["memorization"] = [m for m in tables["memorization"] if m["probe"] != "prompt_tail"]
    found = findings.findings(tables=tables, policies=study.POLICIES, reference="sft")[2]
    assert found.verdict == NOT_SHOWN and "prompts: not measured" in found.figures
    assert "rest of the prompt" not in sentences(tables)[2]


@pytest.mark.parametrize(
    ("low", "high", "verdict", "said"),
    [
        (0.01, 0.2, SHOWN, "that ipo gives back more than ppo is shown"),
        (0.0, 0.2, NOT_SHOWN, "that ipo gives back more than ppo is not shown"),
        (-0.2, 0.0, NOT_SHOWN, "that ipo gives back more than ppo is not shown"),
        (-0.2, -0.01, CONTRADICTED, "that ipo gives back less than ppo is shown"),
    ],
)
def test_ipo_against_ppo(tables, low, high, verdict, said):
    row = one(tables, "contrast", policy="ipo", other="ppo", cohort="preference", measure="memorized")
    row.update(difference_low=low, difference_high=high)
    assert verdicts(tables)[3] == verdict and said in sentences(tables)[1]
    assert "this run could detect 11 points" in findings.findings(tables=tables, policies=study.POLICIES, reference="sft")[3].figures


def test_a_collapsed_policy_shows_nothing_and_the_reason_is_given():
    tables = study.tables(collapsed=("ppo",))
    assert verdicts(tables) == [NOT_SHOWN] * 4
    assert (
        "ppo has collapsed (4.2 times the reference's perplexity)."
        in findings.findings(tables=tables, policies=study.POLICIES, reference="sft")[0].figures
    )
    assert all("; ppo has collapsed, so what it does not give back says nothing" in s for s in sentences(tables))
    assert (
        "; ppo and ipo have collapsed, so what they do not give back says nothing" in sentences(study.tables(collapsed=("ppo", "ipo")))[1]
    )
    assert verdicts(study.tables(collapsed=("ipo",))) == [SHOWN, SHOWN, SHOWN, NOT_SHOWN]
    assert verdicts(study.tables(collapsed=("sft_chosen",))) == [SHOWN, NOT_SHOWN, SHOWN, SHOWN]


def test_policies_are_found_by_what_they_are_and_named():
    policies = {
        "start": {"method": "base"},
        "sft": {"method": "sft", "parent": "start", "data": "sft"},
        "elsewhere": {"method": "ppo", "parent": "other"},  # does not descend from the reference
        "other": {"method": "sft", "parent": "start", "data": "sft"},
        "more": {"method": "sft", "parent": "sft", "data": "sft"},  # not on the preferences
        "rlhf": {"method": "ppo", "parent": "more"},
        "second": {"method": "ppo", "parent": "sft"},
        "chosen": {"method": "sft", "parent": "sft", "data": "preference"},
        "pairs": {"method": "ipo", "parent": "sft"},
    }
    assert findings.roles(policies=policies, reference="sft") == dict(ppo="rlhf", ipo="pairs", direct="chosen")
    said = " ".join(sentences(study.tables(policies), policies))
    assert all(name in said for name in ("rlhf", "chosen", "pairs")) and "second" not in said and "elsewhere" not in said


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        (("ppo",), [NOT_MEASURED] * 4),
        (("ipo",), [SHOWN, SHOWN, SHOWN, NOT_MEASURED]),
        (("sft_chosen",), [SHOWN, NOT_MEASURED, SHOWN, SHOWN]),
        (("sft_chosen", "ppo", "ipo"), [NOT_MEASURED] * 4),
    ],
)
def test_what_the_run_lacks_was_not_measured(missing, expected):
    policies = {name: settings for name, settings in study.POLICIES.items() if name not in missing}
    tables = study.tables(policies)
    assert verdicts(tables, policies) == expected
    assert len(sentences(tables, policies)) == 3 and not any("None" in s for s in sentences(tables, policies))


def test_a_table_without_the_rows_is_not_measured_either():
    tables = {name: [] for name in study.tables()}
    assert verdicts(tables) == [NOT_MEASURED] * 4
    assert sentences(tables) == [
        "Whether what fine-tuning taught stays after PPO was not measured.",
        "Whether what only the reward model saw comes back was not held against direct training.",
        "What PPO memorizes of its own prompts was not measured.",
    ]


def test_two_policies_that_are_not_contrasted_are_to_be_named(tables):
    def reasons() -> list[str]:
        told = findings.findings(tables=tables, policies=study.POLICIES, reference="sft")
        return [f.figures for f in told if f.verdict == NOT_MEASURED]

    tables["contrast"] = [row for row in tables["contrast"] if row["other"] == "sft"]
    remedy = "are not held against each other; name the pair in report.contrasts."
    assert reasons() == [f"ppo and sft_chosen {remedy}", f"ipo and ppo {remedy}"]
    tables["memorization"] = [row for row in tables["memorization"] if row["cohort"] != "preference"]
    assert reasons() == [f"The tables hold no such rows of {name}." for name in ("ppo", "ipo")]


def test_nothing_to_keep_is_not_measured(tables):
    one(tables, "persistence", policy="ppo", cohort="sft").update(
        memorized_by_reference=0, still_memorized=0, rate=None, low=None, high=None
    )
    memorized(tables, "sft", "sft").update(study.rated(0, 64))
    assert verdicts(tables)[0] == NOT_MEASURED
    assert sentences(tables)[0].endswith("sft memorized none (95 % interval 0–6 %), so there is nothing that ppo could keep.")


@pytest.mark.parametrize(
    ("known", "still", "said"),
    [
        (1, 0, "8 %), and ppo keeps none (0–98 %)."),
        (1, 1, "8 %), and ppo keeps 1 (3–100 %)."),
        (2, 1, "and ppo keeps 1 of these (50 %, 1–99 %)."),
        (64, 64, "sft memorized all (95 % interval 94–100 %), and ppo keeps all of these (94–100 %)."),
    ],
)
def test_none_one_and_all(tables, known, still, said):
    share = {k: v for k, v in study.rated(still, known).items() if k != "hits"}
    one(tables, "persistence", policy="ppo", cohort="sft").update(memorized_by_reference=known, still_memorized=still, **share)
    memorized(tables, "sft", "sft").update(study.rated(known, 64))
    assert sentences(tables)[0].endswith(said)


def test_controls_that_came_back_are_named_with_the_worst_policy(tables):
    memorized(tables, "ipo", "unplanted").update(study.rated(6, 64, "counterfactual_"))
    assert sentences(tables)[2].endswith("of canaries planted nowhere ipo gives back most, 6 of 64 (9 %, 4–19 %).")


def test_several_seeds_are_said(tables):
    first, second, third = sentences(tables, seeds=3)
    assert "of the 64 pairs of canary and seed in its fine-tuning set sft" in first
    assert "64 pairs of canary and seed in the preference pairs ppo" in second and "64 pairs of canary and seed in its prompts ppo" in third


def test_every_combination_of_verdicts_is_three_clean_sentences(tables):
    spans = [(0.2, 0.4), (-0.1, 0.1), (-0.4, -0.2)]
    for stays, shielded, more, collapsed in itertools.product([(0.6, 0.9), (0.4, 0.6), (0.1, 0.2)], spans, spans, [False, True]):
        made = copy.deepcopy(tables)
        one(made, "persistence", policy="ppo", cohort="sft").update(low=stays[0], high=stays[1])
        one(made, "contrast", policy="ppo", other="sft_chosen", cohort="preference", measure="memorized").update(
            difference_low=-shielded[1], difference_high=-shielded[0]
        )
        one(made, "contrast", policy="ipo", other="ppo", cohort="preference", measure="memorized").update(
            difference_low=more[0], difference_high=more[1]
        )
        one(made, "utility", policy="ipo")["collapsed"] = collapsed
        found = sentences(made)
        assert len(found) == 3
        for sentence in found:
            assert sentence[0].isupper() and sentence.endswith(".") and sentence.count(": ") <= 1
            assert not re.search(r"  |\.\.|None|nan| ,| ;|\( |1 canaries|;\.", sentence)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.52, "+52 points"), (-0.03, "−3 points"), (0.0, "0 points"), (0.004, "+0.4 points"), (0.01, "+1 point"), (-0.5, "−50 points")],
)
def test_points(value, text):
    assert findings.points(float("inf"), sign=False) == "over 100 points"
    assert findings.points(value) == text
    assert findings.points(value, sign=False) == text.lstrip("+−")
